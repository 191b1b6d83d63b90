//! Which services there are, what of the environment each of them reads, and how one is spoken to.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{ClientConfigKey, ObjectStore, RetryConfig};

use crate::transport::Connector;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// Which store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Amazon's S3, or another that speaks like it.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl Service {
    /// The store that the scheme of a URL means.
    pub fn of(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" => Some(Self::S3),
            "gs" => Some(Self::Google),
            "az" => Some(Self::Azure),
            _ => None,
        }
    }

    /// What the names of its environment variables begin with.
    pub fn variables(self) -> &'static str {
        match self {
            Self::S3 => "AWS_",
            Self::Google => "GOOGLE_",
            Self::Azure => "AZURE_",
        }
    }

    /// Variables of which one must be set where the machine itself has no role.
    pub fn credentials(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &[
                "AWS_ACCESS_KEY_ID",
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "AWS_SKIP_SIGNATURE",
            ],
            Self::Google => &[
                "GOOGLE_SERVICE_ACCOUNT",
                "GOOGLE_SERVICE_ACCOUNT_PATH",
                "GOOGLE_SERVICE_ACCOUNT_KEY",
                "GOOGLE_APPLICATION_CREDENTIALS",
                "GOOGLE_BEARER_TOKEN",
                "GOOGLE_SKIP_SIGNATURE",
            ],
            Self::Azure => &[
                "AZURE_STORAGE_ACCOUNT_KEY",
                "AZURE_STORAGE_ACCESS_KEY",
                "AZURE_STORAGE_SAS_TOKEN",
                "AZURE_STORAGE_SAS_KEY",
                "AZURE_STORAGE_TOKEN",
                "AZURE_CLIENT_SECRET",
                "AZURE_STORAGE_CLIENT_SECRET",
                "AZURE_FEDERATED_TOKEN_FILE",
                "AZURE_SKIP_SIGNATURE",
            ],
        }
    }

    /// What to do about credentials.
    pub fn advice(self) -> &'static str {
        match self {
            Self::S3 => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN) of an account that may list the bucket and read its objects; profiles are not read: `aws configure export-credentials --format env` prints one"
            }
            Self::Google => {
                "name the key of a service account that may list the bucket and read its objects in GOOGLE_APPLICATION_CREDENTIALS"
            }
            Self::Azure => {
                "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN with the right to list and to read"
            }
        }
    }
}

/// The store of a service. Without TLS it is spoken to only where that goes no further than this host, or where the environment
/// says so.
pub(crate) fn build(
    service: Service,
    bucket: &str,
    settings: &[(String, String)],
    loopback: bool,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    // Every attempt is made, counted and bounded in one place, which is not this one.
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let connector = Connector { limit: CONNECT };
    Ok(match service {
        Service::S3 => {
            let mut builder = AmazonS3Builder::new();
            for (name, value) in settings {
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            if loopback {
                builder = builder.with_allow_http(true);
            }
            Arc::new(
                builder.with_bucket_name(bucket).with_retry(retry).with_http_connector(connector).build()?,
            )
        }
        Service::Google => {
            let mut builder = GoogleCloudStorageBuilder::new();
            for (name, value) in settings {
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            if loopback {
                builder = builder.with_config(GoogleConfigKey::Client(ClientConfigKey::AllowHttp), "true");
            }
            Arc::new(
                builder.with_bucket_name(bucket).with_retry(retry).with_http_connector(connector).build()?,
            )
        }
        Service::Azure => {
            let mut builder = MicrosoftAzureBuilder::new();
            for (name, value) in settings {
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value);
                }
            }
            if loopback {
                builder = builder.with_allow_http(true);
            }
            Arc::new(
                builder
                    .with_container_name(bucket)
                    .with_retry(retry)
                    .with_http_connector(connector)
                    .build()?,
            )
        }
    })
}
