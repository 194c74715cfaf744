//! What is due with time: heartbeats, progress, quiet sources, silent sockets, sessions given up.

use super::view::Session;
use super::{MILLISECOND_US, PROGRESS_US, Sessions, SocketId, Turn};
use crate::clock::Timestamp;
use crate::limits::{HEARTBEAT_MS, SESSION_GRACE_MS, SILENCE_MS_MAX};
use crate::serve::protocol::{ProgressFrame, ServerMessage, Stale};

impl Sessions {
    /// Does what is to be done with time: heartbeats, progress, silent sockets, sessions given up.
    /// Called a few times a second.
    pub fn tend(&mut self, turn: &mut Turn) {
        self.expire(turn);
        let silent = self.sockets.iter().filter(|(_, s)| turn.now - s.heard_at > ms(SILENCE_MS_MAX));
        let silent: Vec<SocketId> = silent.map(|(&socket, _)| socket).collect();
        for socket in silent {
            turn.outlet.close(socket);
            self.disconnect(socket, turn.now);
        }
        let greeted = self.sockets.iter().filter(|(_, s)| s.session.is_some());
        let greeted: Vec<SocketId> = greeted.map(|(&socket, _)| socket).collect();
        let now = turn.now;
        let beat: Vec<SocketId> = greeted.iter().copied().filter(|socket| self.beats(*socket, now)).collect();
        for socket in beat {
            self.heartbeat(socket, now / MILLISECOND_US, turn);
        }
        if !turn.views.ready() {
            self.tell_progress(&greeted, turn);
        }
        self.tell_stale(&greeted, turn);
    }

    /// Tells everyone how things stand now, without waiting for the next heartbeat.
    pub fn beat(&mut self, turn: &mut Turn) {
        let greeted = self.sockets.iter().filter(|(_, s)| s.session.is_some());
        for socket in greeted.map(|(&socket, _)| socket).collect::<Vec<SocketId>>() {
            self.heartbeat(socket, turn.now / MILLISECOND_US, turn);
        }
    }

    /// Whether a heartbeat is due, which this then counts as sent.
    fn beats(&mut self, socket: SocketId, now: Timestamp) -> bool {
        let state = self.sockets.get_mut(&socket).expect("listed from the same map");
        let due = now - state.heartbeat_at >= ms(HEARTBEAT_MS);
        if due {
            state.heartbeat_at = now;
        }
        due
    }

    fn tell_progress(&mut self, greeted: &[SocketId], turn: &mut Turn) {
        let progress = turn.views.progress();
        for &socket in greeted {
            let state = self.sockets.get_mut(&socket).expect("listed from the same map");
            if turn.now - state.progress_at < PROGRESS_US || turn.outlet.room(socket) < progress.len() {
                continue;
            }
            state.progress_at = turn.now;
            for source in &progress {
                turn.say(socket, &ServerMessage::Progress(ProgressFrame::from(source)));
            }
        }
    }

    /// Says which sources went quiet and which came back, once each.
    fn tell_stale(&mut self, greeted: &[SocketId], turn: &mut Turn) {
        let stale = turn.views.stale(turn.now);
        let gone = stale.iter().filter(|source| !self.stale.contains(&source.source));
        let gone = gone.map(|source| Stale { source: source.source.clone(), since_ms: source.since_ms });
        let back = self.stale.iter().filter(|name| stale.iter().all(|source| source.source != **name));
        let back = back.map(|name| Stale { source: name.clone(), since_ms: 0 });
        for message in gone.chain(back).map(ServerMessage::Stale).collect::<Vec<_>>() {
            greeted.iter().for_each(|&socket| turn.say(socket, &message));
        }
        self.stale = stale.into_iter().map(|source| source.source).collect();
    }

    /// Says goodbye to everyone.
    pub fn shut_down(&mut self, turn: &mut Turn) {
        let sockets: Vec<SocketId> = self.sockets.keys().copied().collect();
        for socket in sockets {
            self.dismiss(socket, "shutdown", 1_000, turn);
        }
    }

    /// Closes the views of clients that stayed away.
    pub(super) fn expire(&mut self, turn: &mut Turn) {
        let away = |session: &Session| {
            session.socket.is_none() && turn.now - session.left_at >= ms(SESSION_GRACE_MS)
        };
        let gone: Vec<u64> = self.sessions.iter().filter(|(_, s)| away(s)).map(|(&id, _)| id).collect();
        for id in gone {
            let views: Vec<u64> = self.sessions[&id].views.keys().copied().collect();
            for number in views {
                self.close((id, number), turn);
            }
            self.sessions.remove(&id);
        }
    }
}

fn ms(milliseconds: u64) -> i64 {
    milliseconds as i64 * MILLISECOND_US
}
