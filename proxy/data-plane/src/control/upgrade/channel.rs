//! The connection between the two processes: one frame a message, descriptors beside it, every wait with a deadline.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::frame::{Frame, FrameError, MAX_DESCRIPTORS, MAX_FRAME};

/// A connected `SOCK_SEQPACKET` socket whose other end is a process of our own user.
#[derive(Debug)]
pub(super) struct Channel {
    /// The library's name for it is that of a stream; messages are sent and received by system calls of our own.
    socket: UnixStream,
    /// The other process's id; 0 where it is not in our process namespace.
    pub(super) peer: i32,
}

/// A frame with the descriptors that came with it.
pub(super) type Received = (Frame, Vec<OwnedFd>);

/// Why an exchange ends before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChannelError {
    /// The other process has closed its end without a word, or does not exist any more.
    #[error("the other process has ended")]
    Ended,
    /// It has left without having said anything.
    #[error("the other process wanted nothing")]
    Absent,
    /// Nothing came in time.
    #[error("the other process says nothing")]
    Silent,
    /// What came is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It said something that has no place here.
    #[error("the other process says {0:?} out of turn")]
    OutOfTurn(Frame),
    /// It refused, and this is why.
    #[error("{0}")]
    Refused(String),
    /// It belongs to somebody else.
    #[error(
        "the other process runs as user {theirs} and this one as user {ours}: run both as the same user"
    )]
    OtherUser {
        /// The other's.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// The system's.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl Channel {
    /// A channel over a connected `SOCK_SEQPACKET` socket. Descriptors are taken from, and handed to, our own user
    /// alone, also where the file system would let others in.
    pub(super) fn new(socket: UnixStream) -> Result<Self, ChannelError> {
        let peer = socket.peer_cred()?;
        if let Err(refusal) = admit(peer.uid(), nix::unistd::geteuid().as_raw()) {
            // Who it is may know why; whether it reads that is its own affair.
            let _ = send_now(&socket, &Frame::Refused(refusal.to_string()), &[]);
            return Err(refusal);
        }
        Ok(Self { socket, peer: peer.pid().unwrap_or(0) })
    }

    /// Says one thing, with these descriptors.
    pub(super) async fn send(
        &self,
        frame: &Frame,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), ChannelError> {
        let sent = tokio::time::timeout(super::FRAME_TIMEOUT, async {
            loop {
                self.socket.writable().await?;
                let say = || send_now(&self.socket, frame, descriptors);
                match self.socket.try_io(Interest::WRITABLE, say) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    sent => return sent,
                }
            }
        });
        match sent.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if is_gone(&error) => Err(ChannelError::Ended),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(ChannelError::Silent),
        }
    }

    /// The next thing said, within this time. A refusal is an error. May be given up at any point without losing a
    /// frame.
    pub(super) async fn receive_within(&self, limit: Duration) -> Result<Received, ChannelError> {
        let received = tokio::time::timeout(limit, self.receive());
        received.await.unwrap_or(Err(ChannelError::Silent))
    }

    /// The same without a deadline, for one who has a deadline for more than this.
    pub(super) async fn receive(&self) -> Result<Received, ChannelError> {
        loop {
            self.socket.readable().await?;
            match self.socket.try_io(Interest::READABLE, || receive_now(&self.socket)) {
                Ok(Some((bytes, descriptors))) => {
                    let frame = Frame::decode(&bytes, descriptors.len())?;
                    return match frame {
                        Frame::Refused(why) => Err(ChannelError::Refused(why)),
                        frame => Ok((frame, descriptors)),
                    };
                }
                Ok(None) => return Err(ChannelError::Ended),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // It went without reading all that we said. Its own last word, if there is one, is read next.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Not even root is another one's proxy: it would hand sockets to one that cannot bind theirs anew.
fn admit(theirs: u32, ours: u32) -> Result<(), ChannelError> {
    if theirs == ours { Ok(()) } else { Err(ChannelError::OtherUser { theirs, ours }) }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

fn send_now(socket: impl AsFd, frame: &Frame, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("more descriptors than one message takes"));
    }
    let bytes = frame.encode();
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// One message with its descriptors, which are closed with the program that replaces this one; `None` at the end. What is
/// cut off, bytes or descriptors, makes the message a wrong one: one byte more than a frame has, and one descriptor more
/// than it may have, are what shows it.
fn receive_now(socket: impl AsFd) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS + 1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; MAX_FRAME + 1];
    let message =
        recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut beside, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for part in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(handed) = part {
            descriptors.extend(handed);
        }
    }
    if message.bytes == 0 {
        return Ok(None);
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        let error = "descriptors were cut off: raise the limit of open files";
        return Err(io::Error::other(error));
    }
    bytes.truncate(message.bytes);
    Ok(Some((bytes, descriptors)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs::File;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair() -> (Channel, OwnedFd) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        (Channel::new(stream(ours)).unwrap(), theirs)
    }

    fn stream(socket: OwnedFd) -> UnixStream {
        UnixStream::from_std(socket.into()).unwrap()
    }

    fn files(many: usize) -> Vec<File> {
        (0..many).map(|_| File::open("/dev/null").unwrap()).collect()
    }

    fn say(socket: &OwnedFd, bytes: &[u8], files: &[File]) {
        let descriptors: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(beside.push(SendAncillaryMessage::ScmRights(&descriptors)));
        }
        sendmsg(socket, &[IoSlice::new(bytes)], &mut beside, SendFlags::NOSIGNAL).unwrap();
    }

    #[test]
    fn only_our_own_user_is_talked_to() {
        for (theirs, ours, expect) in [
            (1000, 1000, true),
            (0, 0, true),
            (0, 1000, false),
            (1000, 0, false),
            (1001, 1000, false),
        ] {
            let admitted = admit(theirs, ours);
            assert_eq!(admitted.is_ok(), expect, "{theirs} to {ours}");
        }
        let refused = admit(1001, 1000).unwrap_err().to_string();
        assert!(refused.ends_with("run both as the same user"), "{refused}");
    }

    #[tokio::test]
    async fn frames_and_descriptors_arrive_as_they_were_sent() {
        let (one, other) = pair();
        let other = Channel::new(stream(other)).unwrap();
        assert_eq!(other.peer, i32::try_from(std::process::id()).unwrap());
        let files = files(MAX_DESCRIPTORS);
        let descriptors: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        one.send(&Frame::Sockets { remaining: 7 }, &descriptors).await.unwrap();
        one.send(&Frame::Released, &[]).await.unwrap();
        drop(one);
        let (frame, received) = other.receive().await.unwrap();
        assert_eq!((frame, received.len()), (Frame::Sockets { remaining: 7 }, MAX_DESCRIPTORS));
        assert_eq!(other.receive().await.unwrap().0, Frame::Released);
        assert!(matches!(other.receive().await, Err(ChannelError::Ended)));
        assert!(matches!(other.send(&Frame::Accepting, &[]).await, Err(ChannelError::Ended)));
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused_and_its_descriptors_are_closed() {
        let sockets = Frame::Sockets { remaining: 0 }.encode();
        for (name, bytes, descriptors) in [
            ("a byte", vec![b'P'], 0),
            ("a long message", vec![b'P'; MAX_FRAME + 100], 0),
            ("one descriptor too many", sockets.clone(), MAX_DESCRIPTORS + 1),
            ("as many as the system takes", sockets, 253),
            ("descriptors with a request", Frame::Request.encode(), 3),
        ] {
            let (ours, theirs) = pair();
            // A pipe's reader sees its end when every copy of its other end is closed, those that were sent too.
            let (reader, writer) = std::io::pipe().unwrap();
            let files: Vec<File> = (0..descriptors)
                .map(|_| File::from(OwnedFd::from(writer.try_clone().unwrap())))
                .collect();
            drop(writer);
            say(&theirs, &bytes, &files);
            drop(files);
            let refused = ours.receive_within(Duration::from_secs(5)).await;
            assert!(
                matches!(refused, Err(ChannelError::Frame(_) | ChannelError::System(_))),
                "{name}: {refused:?}"
            );
            assert_eq!(std::io::Read::read(&mut &reader, &mut [0; 1]).unwrap(), 0, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let (ours, theirs) = pair();
        let heard = ours.receive_within(Duration::from_secs(5)).await;
        assert!(matches!(heard, Err(ChannelError::Silent)), "{heard:?}");
        drop(theirs);
    }

    #[tokio::test]
    async fn a_refusal_says_why() {
        let (ours, theirs) = pair();
        say(&theirs, &Frame::Refused("because".into()).encode(), &[]);
        let heard = ours.receive_within(Duration::from_secs(5)).await;
        assert!(matches!(&heard, Err(ChannelError::Refused(why)) if why == "because"), "{heard:?}");
    }
}
