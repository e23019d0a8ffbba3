//! A function in Rust with nothing but std: the Runtime API over one TcpStream.
//!
//! Environments start from a snapshot of the wait for the first event. What std draws from the kernel once is
//! the snapshot's then, HashMap's keys for one; what is read when it is needed is new in each.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

struct Answer {
    request_id: String,
    body: Vec<u8>,
}

struct Api {
    host: String,
    stream: BufReader<TcpStream>,
}

impl Api {
    fn connect() -> Result<Api, Box<dyn Error>> {
        let host = std::env::var("AWS_LAMBDA_RUNTIME_API")?;
        let stream = TcpStream::connect(&host)?;
        stream.set_nodelay(true)?;
        Ok(Api { host, stream: BufReader::new(stream) })
    }

    fn call(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer, Box<dyn Error>> {
        let mut request = format!(
            "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;

        let (mut request_id, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err("the Runtime API closed the connection".into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "lambda-runtime-aws-request-id" => request_id = value.trim().to_string(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { request_id, body })
    }
}

fn draw() -> Result<u32, Box<dyn Error>> {
    let mut bytes = [0; 4];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u32::from_ne_bytes(bytes))
}

fn handle(request_id: &str, event: &str) -> Result<String, Box<dyn Error>> {
    println!("asked by {request_id}");
    Ok(format!(r#"{{"message":"hello from Rust","drawn":{},"event":{event}}}"#, draw()?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut api = Api::connect()?;
    loop {
        let next = api.call("GET", "invocation/next", b"")?;
        let id = next.request_id;
        match handle(&id, &String::from_utf8(next.body)?) {
            Ok(reply) => api.call("POST", &format!("invocation/{id}/response"), reply.as_bytes())?,
            Err(e) => {
                let document = format!(r#"{{"errorType":"Error","errorMessage":{:?}}}"#, e.to_string());
                api.call("POST", &format!("invocation/{id}/error"), document.as_bytes())?
            }
        };
    }
}
