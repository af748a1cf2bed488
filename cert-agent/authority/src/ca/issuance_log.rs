//! The issuance log: who got which certificate, append-only, chained and signed, on JSON lines.
//!
//! Every line is `{"chain":"<64 hex>","entry":{…}}`; the chain value is SHA-256 over the previous
//! one and the entry's bytes. Once a second (or every 1,000 lines) a `seal` signs the chain with
//! the intermediate's key, and the file is synced: a certificate waits for neither. A full disk
//! does not stop issuance; lines that were lost are counted in a line of their own.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use rcgen::SigningKey as _;
use serde::Serialize;
use serde_json::json;

use crate::ca::signers::SigningCa;
use crate::clock::wall_clock;
use crate::store::{files, secret};

/// What a seal signs begins with this, so that the signature means nothing elsewhere.
pub(super) const SEALED: &[u8] = b"postern issuance log v1\0";
/// The chain value before the first line of a first file.
pub(super) const BEGINNING: &str =
    "0000000000000000000000000000000000000000000000000000000000000000";
/// Lines that wait to be written; above it they are lost, and counted.
const QUEUE: usize = 16_384;
/// Lines under one seal at most.
const SEAL_AFTER: u64 = 1000;
/// Lines written at a time.
const BATCH: usize = 1000;
/// A line waits this long for its seal at most.
const SEAL_WITHIN: Duration = Duration::from_secs(1);
/// A larger file is followed by a new one, bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// All files of the directory together, bytes: the oldest are removed.
const MAX_TOTAL: u64 = 1024 * 1024 * 1024;

/// One issued certificate.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuedCertificate {
    /// Unix seconds.
    pub time: u64,
    /// Whom the certificate names.
    pub identity: String,
    /// Lower-case hexadecimal bytes separated by `:`.
    pub serial: String,
    /// Unix seconds.
    pub not_after: u64,
    /// The kind of evidence.
    pub attestor: &'static str,
    /// Which agent.
    pub instance: String,
    /// Where the request came from.
    pub caller: String,
}

/// A line that waits, and whose key seals it.
type QueuedLine = (IssuedCertificate, Arc<SigningCa>);

/// The log of this replica.
#[derive(Debug)]
pub struct IssuanceLog {
    queue: Mutex<Option<SyncSender<QueuedLine>>>,
    position: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl IssuanceLog {
    /// A log in this directory. The first file is made with the first line.
    ///
    /// # Errors
    /// When the directory cannot be made, or no thread can be started.
    pub fn start(directory: &Path, replica: &str) -> anyhow::Result<Self> {
        files::private_directory(directory)?;
        let (queue, lines) = sync_channel(QUEUE);
        let (position, lost) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut writer = LogWriter {
            directory: directory.to_owned(),
            replica: replica.to_owned(),
            file: None,
            chain: BEGINNING.to_owned(),
            unsealed: 0,
            signer: None,
            position: Arc::clone(&position),
            lost: Arc::clone(&lost),
        };
        let thread = std::thread::Builder::new()
            .name("issuance-log".to_owned())
            .spawn(move || writer.run(&lines))
            .context("cannot start the issuance log's thread")?;
        let (queue, writer) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { queue, position, lost, writer })
    }

    /// Appends a line; never waits for the disk.
    pub fn append(&self, issued: IssuedCertificate, ca: Arc<SigningCa>) {
        let sent = self.queue.lock().as_ref().is_some_and(|q| q.try_send((issued, ca)).is_ok());
        if !sent {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Certificates logged since the start.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }
}

impl Drop for IssuanceLog {
    fn drop(&mut self) {
        // Without a sender the writer seals what it has, and ends.
        self.queue.lock().take();
        if let Some(writer) = self.writer.lock().take() {
            // A panic in there was reported by its own thread.
            let _ = writer.join();
        }
    }
}

struct LogWriter {
    directory: PathBuf,
    replica: String,
    file: Option<(File, u64)>,
    chain: String,
    unsealed: u64,
    signer: Option<Arc<SigningCa>>,
    position: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

impl LogWriter {
    fn run(&mut self, lines: &Receiver<QueuedLine>) {
        loop {
            let next = lines.recv_timeout(SEAL_WITHIN);
            let ended = matches!(next, Err(RecvTimeoutError::Disconnected));
            let mut batch: VecDeque<_> = next.into_iter().collect();
            batch.extend(lines.try_iter().take(BATCH));
            let count = batch.len() as u64;
            if let Err(error) = self.write(batch, ended) {
                self.lost.fetch_add(count, Ordering::Relaxed);
                self.file = None;
                tracing::error!(
                    error = format!("{error:#}"),
                    "cannot write the issuance log; certificates are issued without it"
                );
            }
            if ended {
                return;
            }
        }
    }

    fn write(&mut self, batch: VecDeque<QueuedLine>, ended: bool) -> anyhow::Result<()> {
        let idle = batch.is_empty();
        for (issued, ca) in batch {
            self.begin()?;
            self.name_signer(ca)?;
            self.line(&json!({ "issued": issued }))?;
            self.unsealed += 1;
            self.position.fetch_add(1, Ordering::Relaxed);
        }
        if self.unsealed >= SEAL_AFTER || self.unsealed > 0 && (idle || ended) {
            self.seal()?;
        }
        Ok(())
    }

    /// Opens a file when there is none, or the last one is full.
    fn begin(&mut self) -> anyhow::Result<()> {
        if self.file.as_ref().is_some_and(|(_, size)| *size >= MAX_FILE) {
            self.seal()?;
            self.file = None;
        }
        if self.file.is_none() {
            remove_oldest(&self.directory)?;
            let (time, part) = (wall_clock(), secret::random_hex::<4>());
            let path =
                self.directory.join(format!("issuance-{time}-{}-{part}.jsonl", self.replica));
            let file = OpenOptions::new()
                .create_new(true)
                .append(true)
                .mode(files::OWNER_ONLY)
                .open(&path)
                .with_context(|| path.display().to_string())?;
            files::sync_directory(&path)?;
            self.file = Some((file, 0));
            self.signer = None;
            let previous = self.chain.clone();
            self.line(&json!({ "begin": { "replica": self.replica, "time": time, "previous": previous } }))?;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            self.line(&json!({ "lost": { "lines": lost, "time": wall_clock() } }))?;
        }
        Ok(())
    }

    /// Says whose key signs the next seal, when it is another than before.
    fn name_signer(&mut self, ca: Arc<SigningCa>) -> anyhow::Result<()> {
        let same = self.signer.as_ref().is_some_and(|old| old.certificate() == ca.certificate());
        if !same {
            if self.unsealed > 0 {
                self.seal()?;
            }
            let chain: Vec<_> = std::iter::once(ca.certificate())
                .chain(ca.chain().iter().skip(1))
                .map(|certificate| STANDARD.encode(certificate))
                .collect();
            self.line(&json!({ "signer": { "certificates": chain } }))?;
        }
        self.signer = Some(ca);
        Ok(())
    }

    fn seal(&mut self) -> anyhow::Result<()> {
        let Some(ca) = self.signer.clone() else { return Ok(()) };
        let message = [SEALED, self.chain.as_bytes()].concat();
        let signature = ca.issuer().key().sign(&message).context("cannot seal")?;
        self.line(&json!({ "seal": { "signature": STANDARD.encode(signature) } }))?;
        self.unsealed = 0;
        if let Some((file, _)) = &self.file {
            file.sync_data().context("cannot sync")?;
        }
        Ok(())
    }

    fn line(&mut self, entry: &serde_json::Value) -> anyhow::Result<()> {
        let entry = entry.to_string();
        let chain = next(&self.chain, &entry);
        let line = format!("{{\"chain\":\"{chain}\",\"entry\":{entry}}}\n");
        let (file, size) = self.file.as_mut().context("no file")?;
        file.write_all(line.as_bytes()).context("cannot write")?;
        *size += line.len() as u64;
        self.chain = chain;
        Ok(())
    }
}

/// The chain value after an entry.
pub(super) fn next(chain: &str, entry: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(chain.as_bytes());
    context.update(entry.as_bytes());
    secret::hex(context.finish().as_ref())
}

/// Keeps the directory's files below their total.
fn remove_oldest(directory: &Path) -> io::Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("issuance-") {
            let metadata = entry.metadata()?;
            found.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    found.sort();
    let mut total: u64 = found.iter().map(|(_, size, _)| size).sum();
    for (_, size, path) in found {
        if total <= MAX_TOTAL - MAX_FILE {
            break;
        }
        tracing::warn!(file = %path.display(), "the issuance log is at its limit; its oldest file is removed");
        fs::remove_file(&path)?;
        total = total.saturating_sub(size);
    }
    Ok(())
}
