//! What ingest is compared to: a server that reads the same request and answers, and does nothing else.

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    let router = Router::new().route(
        "/webhooks/{provider}/{endpoint}",
        post(|body: Bytes| async move { format!("{{\"request\":\"{}\"}}", body.len()) }),
    );
    axum::serve(listener, router).await
}
