//! Reading one Parquet file of the store: its footer once, then only the columns that are asked for; small files at once.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use deltalake::logstore::ObjectStoreRef;
use deltalake::logstore::object_store::ObjectStoreExt as _;
use deltalake::parquet::arrow::ProjectionMask;
use deltalake::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use deltalake::parquet::arrow::async_reader::{
    AsyncFileReader, ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder,
};
use deltalake::parquet::errors::{ParquetError, Result as ParquetResult};
use deltalake::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use deltalake::{DeltaResult, Path};
use futures::FutureExt as _;
use futures::future::BoxFuture;

/// Rows of one decoded batch.
const BATCH_ROWS: usize = 32 * 1024;
/// A file up to this size costs one request; of a larger one so much is fetched for its footer.
const AT_ONCE: u64 = 512 << 10;

/// The batches of one file.
pub(super) type Batches = ParquetRecordBatchStream<Reader>;

/// One file; clones share what was fetched when they were made.
#[derive(Clone)]
pub(super) struct Reader {
    store: ObjectStoreRef,
    path: Path,
    size: u64,
    /// All of it, if it is small.
    whole: Option<Bytes>,
    footer: Option<ArrowReaderMetadata>,
}

impl Reader {
    /// Fetches the footer of the file at `path`, which has `size` bytes.
    pub async fn open(store: ObjectStoreRef, path: Path, size: u64) -> DeltaResult<Reader> {
        let whole = if size <= AT_ONCE { Some(store.get(&path).await?.bytes().await?) } else { None };
        let mut reader = Reader { store, path, size, whole, footer: None };
        // Other writers leave hints of their own Arrow types (views, dictionaries) in the footer: read the plain ones.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        reader.footer = Some(ArrowReaderMetadata::load_async(&mut reader, options).await?);
        Ok(reader)
    }

    /// The top-level columns called `names`; those that the file does not have are left out.
    pub fn columns<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> DeltaResult<Batches> {
        let footer = self.footer.clone().ok_or_else(|| ParquetError::General("the footer was not read".to_owned()))?;
        let mask = ProjectionMask::columns(footer.parquet_schema(), names);
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(self.clone(), footer);
        Ok(builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()?)
    }
}

fn outside(error: impl std::error::Error + Send + Sync + 'static) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            if let Some(whole) = &self.whole {
                let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
                return match bounds.filter(|(from, to)| from <= to && *to <= whole.len()) {
                    Some((from, to)) => Ok(whole.slice(from..to)),
                    None => Err(ParquetError::EOF(format!("{} ends before byte {}", self.path, range.end))),
                };
            }
            self.store.get_range(&self.path, range).await.map_err(outside)
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            if self.whole.is_none() {
                return self.store.get_ranges(&self.path, &ranges).await.map_err(outside);
            }
            let mut out = Vec::with_capacity(ranges.len());
            for range in ranges {
                out.push(self.get_bytes(range).await?);
            }
            Ok(out)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let hint = usize::try_from(size.min(AT_ONCE)).ok();
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(hint);
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}
