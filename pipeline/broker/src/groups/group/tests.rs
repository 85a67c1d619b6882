//! Rebalances step by step, with time as an argument.

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;

use super::*;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);

fn name(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn request(member: &'static str, protocols: &[&'static str]) -> JoinGroupRequest {
    let protocols = protocols.iter().map(|p| JoinGroupRequestProtocol::default().with_name(name(p)));
    JoinGroupRequest::default()
        .with_member_id(name(member))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(name("consumer"))
        .with_protocols(protocols.collect())
}

fn who(member: &str) -> Identity<'_> {
    Identity { member, instance: None }
}

/// Comes as a new member under a name of the test's choice.
fn enter(group: &mut Group, member: &'static str, now: Instant) -> oneshot::Receiver<JoinAnswer> {
    let request = request(member, &["range"]);
    group.check_join(&request).unwrap();
    group.join(&request, Some(name(member)), "client", now).unwrap()
}

fn rejoin(group: &mut Group, member: &'static str, now: Instant) -> oneshot::Receiver<JoinAnswer> {
    group.join(&request(member, &["range"]), None, "client", now).unwrap()
}

fn joined(answer: &mut oneshot::Receiver<JoinAnswer>) -> Joined {
    answer.try_recv().unwrap().unwrap()
}

/// A stable group of `a`, the leader, and `b`.
fn pair(now: Instant) -> Group {
    let mut group = Group::default();
    assert_eq!(joined(&mut enter(&mut group, "a", now)).generation, 1);
    let mut b = enter(&mut group, "b", now);
    assert!(b.try_recv().is_err(), "b waits for a");
    assert_eq!(group.heartbeat(who("a"), 1, now), Err(ResponseError::RebalanceInProgress));
    let a = joined(&mut rejoin(&mut group, "a", now));
    assert_eq!((a.generation, a.members.len()), (2, 2));
    let b = joined(&mut b);
    assert_eq!((b.generation, b.members.len(), &*b.leader), (2, 0, "a"));
    let mut waiting = group.sync(who("b"), 2, &HashMap::new(), now).unwrap();
    assert!(waiting.try_recv().is_err(), "b waits for the leader");
    let assignments = HashMap::from([(name("a"), Bytes::from("0")), (name("b"), Bytes::from("1"))]);
    let mut own = group.sync(who("a"), 2, &assignments, now).unwrap();
    assert_eq!((own.try_recv().unwrap().unwrap(), waiting.try_recv().unwrap().unwrap()), ("0".into(), "1".into()));
    assert_eq!(group.phase_name(), "Stable");
    group
}

#[test]
fn two_members_find_together() {
    pair(Instant::now());
}

#[test]
fn a_silent_member_is_removed() {
    let start = Instant::now();
    let mut group = pair(start);
    let later = start + SESSION;
    group.heartbeat(who("a"), 2, later).unwrap();
    group.expire(later + Duration::from_millis(1));
    assert_eq!(group.phase_name(), "PreparingRebalance");
    let alone = joined(&mut rejoin(&mut group, "a", later));
    assert_eq!((alone.generation, alone.members.len()), (3, 1));
    assert_eq!(group.heartbeat(who("b"), 2, later), Err(ResponseError::UnknownMemberId));
}

#[test]
fn who_does_not_rejoin_in_time_is_left_behind() {
    let start = Instant::now();
    let mut group = pair(start);
    let mut c = enter(&mut group, "c", start);
    let mut a = rejoin(&mut group, "a", start);
    // b keeps its session alive and does not join.
    let deadline = start + REBALANCE;
    group.find("b").unwrap().last_seen = deadline;
    group.expire(deadline - Duration::from_millis(1));
    assert!(a.try_recv().is_err());
    group.expire(deadline);
    assert_eq!(joined(&mut a).members.len(), 2);
    assert_eq!(joined(&mut c).generation, 3);
}

#[test]
fn leaving_starts_a_rebalance_and_the_last_one_empties_the_group() {
    let now = Instant::now();
    let mut group = pair(now);
    group.leave(who("a"), now).unwrap();
    assert_eq!(group.heartbeat(who("b"), 2, now), Err(ResponseError::RebalanceInProgress));
    assert_eq!(&*joined(&mut rejoin(&mut group, "b", now)).leader, "b");
    group.leave(who("b"), now).unwrap();
    assert_eq!(group.phase_name(), "Empty");
    assert!(group.is_bare());
}

#[test]
fn stale_words_are_refused() {
    let now = Instant::now();
    let mut group = pair(now);
    assert_eq!(group.heartbeat(who("a"), 1, now), Err(ResponseError::IllegalGeneration));
    assert_eq!(group.check_commit(who("a"), 1, now), Err(ResponseError::IllegalGeneration));
    assert_eq!(group.check_commit(who("a"), 2, now), Ok(()));
    assert_eq!(group.check_commit(who(""), -1, now), Err(ResponseError::UnknownMemberId));
    assert_eq!(group.check_transaction_commit(who(""), -1, now), Ok(()));
    let other = group.check_join(&request("", &["roundrobin"]));
    assert_eq!(other, Err(ResponseError::InconsistentGroupProtocol));
    let hasty = request("", &["range"]).with_session_timeout_ms(5);
    assert_eq!(group.check_join(&hasty), Err(ResponseError::InvalidSessionTimeout));
}

#[test]
fn a_static_member_takes_its_place_back() {
    let now = Instant::now();
    let mut group = Group::default();
    let instance = name("detector-1");
    let request = request("", &["range"]).with_group_instance_id(Some(instance.clone()));
    group.join(&request, Some(name("old")), "client", now).unwrap();
    let mut new = group.join(&request, Some(name("new")), "client", now).unwrap();
    assert_eq!((&*joined(&mut new).leader, group.members().len()), ("new", 1));
    let old = Identity { member: "old", instance: Some(&instance) };
    assert_eq!(group.heartbeat(old, 2, now), Err(ResponseError::FencedInstanceId));
}
