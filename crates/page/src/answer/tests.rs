use std::{collections::VecDeque, net::SocketAddr};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{picture::ASKS, readers::Readers};

/// A page that so many may follow, served by the least that serves it; and what it asks the picture for.
async fn served(most: u32) -> (SocketAddr, Page, mpsc::Receiver<PageRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (asks, asked) = mpsc::channel(ASKS);
    let page = Page::new(Gate::new(at).unwrap(), asks, most);
    let serving = page.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let page = serving.clone();
            tokio::spawn(async move {
                let visit = Visit::default();
                let (page, visit) = (&page, &visit);
                let service =
                    service_fn(move |request| async move { Ok::<_, Infallible>(page.answer(&request, visit).await) });
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::select! {
                    _ = serving => {}
                    () = visit.over(Duration::from_secs(60)) => {}
                }
            });
        }
    });
    (at, page, asked)
}

/// A connection that has asked, and what of its answer was not looked at yet.
struct Asked(TcpStream, VecDeque<u8>);

impl Asked {
    async fn new(at: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        Self(stream, VecDeque::new())
    }

    /// Reads up to this text and with it.
    async fn until(&mut self, text: &str) {
        loop {
            let come = self.1.make_contiguous();
            if let Some(at) = come.windows(text.len()).position(|part| part == text.as_bytes()) {
                self.1.drain(..at + text.len());
                return;
            }
            // What is no part of the text any more.
            self.1.drain(..self.1.len().saturating_sub(text.len()));
            let mut piece = vec![0; 65_536];
            let count = self.0.read(&mut piece).await.unwrap();
            assert!(count > 0, "it ended without {text}");
            self.1.extend(&piece[..count]);
        }
    }
}

/// One that never reads, beside one that does: the first is let go once its short queue and the kernel's buffers are full, and the other misses nothing.
#[tokio::test]
async fn a_stuck_reader_is_let_go_and_keeps_nobody_waiting() {
    let (at, page, mut asked) = served(2).await;
    let mut readers = Readers::default();
    let stuck = Asked::new(at).await;
    let mut quick = Asked::new(at).await;
    for _ in 0..2 {
        let Some(PageRequest::Events(dropped, answer)) = asked.recv().await else { panic!("they ask for events") };
        drop(answer.send(Ok(readers.add([Bytes::from_static(b"first\n")], dropped))));
    }
    quick.until("first\n").await;
    Asked::new(at).await.until("2 follow this page already").await;
    let filler = "x".repeat(1 << 20);
    let mut sent = 0;
    while readers.len() == 2 {
        assert!(sent < 200, "a reader that reads nothing is fed {sent} MiB");
        readers.tell(&Bytes::from(format!("{filler}{sent}\n")));
        quick.until(&format!("x{sent}\n")).await;
        sent += 1;
    }
    readers.tell(&Bytes::from_static(b"last\n"));
    quick.until("last\n").await;
    // Its connection has ended on this side, though nothing of what was on its way was read: its place is free.
    let place = Arc::clone(&page.room).acquire_owned().await.unwrap();
    drop((place, stuck, readers));
    quick.until("0\r\n\r\n").await;
}
