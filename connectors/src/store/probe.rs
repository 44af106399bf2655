//! A look at a place for files that writes nothing: no folder is made.

use futures::StreamExt as _;
use object_store::ObjectStoreScheme;
use url::Url;

use super::{Options, check, connect, failure::failure};
use crate::redact::redact;
use crate::{Error, Result};

/// What is there, in words; an error if it cannot be listed.
pub async fn probe(options: &Options) -> Result<String> {
    check(options)?;
    let shown = redact(&options.url);
    let refuse = |why: String| Error::permanent(format!("cannot open the store {shown}: {why}"));
    let url = Url::parse(&options.url).ok().filter(|_| options.url.contains("://"));
    let folder = match &url {
        None => Some(options.url.clone().into()),
        Some(url) if url.scheme() == "file" => url.to_file_path().ok(),
        Some(_) => None,
    };
    if let Some(folder) = folder {
        return match tokio::fs::metadata(&folder).await {
            Ok(found) if found.is_dir() => Ok("a folder".into()),
            Ok(_) => Err(refuse("it is a file, not a folder".into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok("a folder that is not there yet".into()),
            Err(error) => Err(refuse(error.to_string())),
        };
    }
    let url = url.ok_or_else(|| refuse("it is no url".into()))?;
    let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|e| refuse(redact(&e.to_string()).into()))?;
    let store = connect(scheme, &options.url, &options.storage, &refuse)?;
    let first = store.list(Some(&prefix)).next().await;
    match first {
        None => Ok("empty".into()),
        Some(Ok(_)) => Ok("it can be listed".into()),
        Some(Err(error)) => Err(failure(&format!("cannot list {shown}"), &error)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_look_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Options { url: folder.path().join(name).display().to_string(), ..Options::default() };
        assert_eq!(probe(&at("a/b")).await.unwrap(), "a folder that is not there yet");
        assert!(!folder.path().join("a").exists());
        assert_eq!(probe(&at("")).await.unwrap(), "a folder");
        std::fs::write(folder.path().join("f"), "").unwrap();
        assert!(probe(&at("f")).await.unwrap_err().message.contains("a file, not a folder"));
        let memory = Options { url: "memory:///x".into(), ..Options::default() };
        assert_eq!(probe(&memory).await.unwrap(), "empty");
        let unknown = Options { url: "gopher://x".into(), ..Options::default() };
        assert!(probe(&unknown).await.is_err());
    }
}
