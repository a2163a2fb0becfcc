use lightsout_core::metrics::{Id, Program};
use tokio::net::TcpStream;

use super::*;

struct Fixed(Registry);

impl Metered for Fixed {
    fn look(&self, at: &mut dyn FnMut(&Registry)) {
        at(&self.0);
    }
}

async fn asked(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test]
async fn the_page_has_every_metric_and_nothing_else_is_answered() {
    let mut registry = Registry::new(Program::Agent, false);
    registry.set(Id::Cpu, "ci", &[], Some(0.5));
    registry.add(Id::Departures, "ci", &["spot"], 1.0);
    let server = serve(([127, 0, 0, 1], 0).into(), Arc::new(Fixed(registry))).await.unwrap();
    let page = asked(server.address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{page}");
    assert!(page.contains("\nlightsout_instance_cpu_ratio{pool=\"ci\"} 0.5\n"), "{page}");
    assert!(page.contains("\nlightsout_departures_total{pool=\"ci\",reason=\"spot\"} 1\n"), "{page}");
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
        ("HEAD /metrics?x=1 HTTP/1.1\r\n\r\n", "200"),
        ("\r\n\r\n", "405"),
    ] {
        let reply = asked(server.address, request).await;
        assert!(reply.starts_with(&format!("HTTP/1.1 {status}")) && reply.ends_with("\r\n\r\n"), "{request}: {reply}");
    }
}

#[tokio::test]
async fn one_who_says_nothing_keeps_nobody_from_the_page() {
    let server =
        serve(([127, 0, 0, 1], 0).into(), Arc::new(Fixed(Registry::new(Program::Agent, false)))).await.unwrap();
    let _silent = TcpStream::connect(server.address).await.unwrap();
    assert!(asked(server.address, "GET /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    let taken = serve(server.address, Arc::new(Fixed(Registry::new(Program::Agent, false)))).await.unwrap_err();
    assert!(taken.contains("choose another address"), "{taken}");
}
