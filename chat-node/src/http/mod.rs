//! HTTP: routes under `/v1`, the OpenAPI document, health and metrics. A handler translates between a request and one operation of `ops/`.

mod extract;
mod problem;
mod range;
mod router;
mod routes;
pub mod server;

pub use extract::Auth;
pub(crate) use extract::{bearer, caller};
pub use problem::Problem;
pub use range::{parse_range, range_counts};
pub use router::{administration, openapi, router};
