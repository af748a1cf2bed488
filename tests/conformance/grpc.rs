//! gRPC: the app that tells who it is and what was called, and its client.

use std::net::SocketAddr;

use postern_tests::Pod;
use tokio::net::TcpListener;
use tonic::codegen::tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Response, Status};

use messages::echo_client::EchoClient;
use messages::echo_server::{Echo, EchoServer};
use messages::{Question, Saw};

#[allow(missing_docs, unreachable_pub, clippy::all, reason = "it is generated")]
mod messages {
    tonic::include_proto!("postern.conformance");
}

/// The app of one pod.
struct App {
    pod: String,
}

impl App {
    fn saw(&self, method: &str) -> Result<Response<Saw>, Status> {
        Ok(Response::new(Saw { pod: self.pod.clone(), method: method.to_owned() }))
    }
}

#[tonic::async_trait]
impl Echo for App {
    async fn ask(&self, _: Request<Question>) -> Result<Response<Saw>, Status> {
        self.saw("Ask")
    }

    async fn ask_again(&self, _: Request<Question>) -> Result<Response<Saw>, Status> {
        self.saw("AskAgain")
    }

    async fn ask_once_more(&self, _: Request<Question>) -> Result<Response<Saw>, Status> {
        self.saw("AskOnceMore")
    }
}

/// Serves the app on a port of the pod.
pub(crate) fn serve(pod: &Pod, port: u16) {
    let app = App { pod: pod.name().to_owned() };
    drop(pod.spawn(async move {
        let listener = TcpListener::bind(("::", port)).await.expect("the app's port is free");
        let incoming = TcpListenerStream::new(listener);
        let _ =
            Server::builder().add_service(EchoServer::new(app)).serve_with_incoming(incoming).await;
    }));
    pod.wait_for_app(port);
}

/// A call of one of the app's methods.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) host: String,
    pub(crate) metadata: Vec<(&'static str, &'static str)>,
}

/// Calls; the pod that answered, or the status.
pub(crate) async fn call(address: SocketAddr, call: Call) -> Result<String, Code> {
    let origin = format!("http://{}", call.host).parse().expect("the row's host");
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let channel = endpoint.origin(origin).connect().await.map_err(|_| Code::Unavailable)?;
    let mut client = EchoClient::new(channel);
    let mut request = Request::new(Question {});
    for (name, value) in call.metadata {
        request.metadata_mut().insert(name, value.parse().expect("the row's metadata"));
    }
    let answer = match call.method {
        "Ask" => client.ask(request).await,
        "AskAgain" => client.ask_again(request).await,
        "AskOnceMore" => client.ask_once_more(request).await,
        other => panic!("the app has no method {other}"),
    };
    answer.map(|answer| answer.into_inner().pod).map_err(|status| status.code())
}
