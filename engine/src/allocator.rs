//! The allocator of every program that links the engine: jemalloc, told to give memory back.
//!
//! Rows and messages are many small pieces made on one thread and dropped on another. glibc keeps an arena for each thread and
//! hardly returns any of them; `benches/README.md` has the comparison. The settings trade a little time for a low peak: few
//! arenas, so that what one thread frees another uses, and freed pages go back to the system within a second.

#![allow(unsafe_code, reason = "the name of an exported symbol is the only way to give jemalloc its settings")]

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Read by jemalloc before `main`.
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: &[u8] = b"narenas:4,dirty_decay_ms:1000,muzzy_decay_ms:0\0";
