//! Consumer groups: sharing partitions, taking over, going on where others stopped.

use std::collections::BTreeSet;
use std::sync::Arc;

use rdkafka::Message;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::JoinSet;

use crate::cluster::{WAIT, blocking, consumer, producer, read, send, topic, unique, until};

fn member(group: &str, topic: &str, settings: &[(&str, &str)]) -> Arc<StreamConsumer> {
    let mut all = vec![
        ("group.id", group),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "200"),
        ("partition.assignment.strategy", "range"),
    ];
    all.extend_from_slice(settings);
    let member = consumer(&all);
    member.subscribe(&[topic]).unwrap();
    Arc::new(member)
}

/// Polls the member until the set is dropped, which is what keeps it in its group.
fn poll(members: &mut JoinSet<()>, member: &Arc<StreamConsumer>) {
    let member = Arc::clone(member);
    members.spawn(async move {
        loop {
            let _ = member.recv().await;
        }
    });
}

fn assigned(member: &StreamConsumer) -> BTreeSet<i32> {
    member.assignment().unwrap().elements().iter().map(|e| e.partition()).collect()
}

async fn until_shared(members: &[&StreamConsumer], each: usize) {
    until("partitions are shared", || async { members.iter().all(|m| assigned(m).len() == each) }).await;
    let all: BTreeSet<i32> = members.iter().flat_map(|m| assigned(m)).collect();
    assert_eq!(all.len(), each * members.len(), "each partition has one owner");
}

async fn check_sharing(strategy: &'static str) {
    let (name, group) = (topic("shared", 4).await, unique("group"));
    let settings = [("partition.assignment.strategy", strategy)];
    let mut polling = JoinSet::new();
    let first = member(&group, &name, &settings);
    poll(&mut polling, &first);
    until_shared(&[&first], 4).await;

    let mut second_polling = JoinSet::new();
    let second = member(&group, &name, &settings);
    poll(&mut second_polling, &second);
    until_shared(&[&first, &second], 2).await;

    second_polling.shutdown().await;
    blocking(move || drop(second)).await;
    until_shared(&[&first], 4).await;
    polling.shutdown().await;
    blocking(move || drop(first)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_partitions_by_range() {
    check_sharing("range").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_partitions_round_robin() {
    check_sharing("roundrobin").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_partitions_cooperatively() {
    check_sharing("cooperative-sticky").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_static_member_comes_back() {
    let (name, group) = (topic("static", 2).await, unique("group"));
    for _ in 0..2 {
        let mut polling = JoinSet::new();
        let only = member(&group, &name, &[("group.instance.id", "detector-1")]);
        poll(&mut polling, &only);
        until_shared(&[&only], 2).await;
        polling.shutdown().await;
        blocking(move || drop(only)).await;
    }
}

#[tokio::test]
async fn a_group_goes_on_where_it_stopped() {
    let (name, group) = (topic("resumed", 1).await, unique("group"));
    for n in 0..10 {
        send(&producer(&[]), &name, 0, &n.to_string()).await;
    }
    let first = member(&group, &name, &[]);
    let found = read(&first, 4).await;
    let last = found[3].offset();
    blocking(move || {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(found[3].topic(), 0, Offset::Offset(last + 1)).unwrap();
        first.commit(&list, CommitMode::Sync).unwrap();
    })
    .await;

    let second = member(&group, &name, &[]);
    let found = read(&second, 6).await;
    assert_eq!(found[0].offset(), 4);
    let committed = blocking(move || {
        let committed = second.committed(WAIT).unwrap();
        committed.elements()[0].offset()
    });
    assert_eq!(committed.await, Offset::Offset(4));
}

#[tokio::test]
async fn groups_are_listed_with_their_members() {
    let (name, group) = (topic("listed", 1).await, unique("group"));
    send(&producer(&[]), &name, 0, "only").await;
    let only = member(&group, &name, &[("client.id", "dashboard")]);
    read(&only, 1).await;
    let wanted = group.clone();
    let found = blocking(move || {
        let listed = consumer(&[]).fetch_group_list(Some(&wanted), WAIT).unwrap();
        let group = &listed.groups()[0];
        let clients: Vec<String> = group.members().iter().map(|m| m.client_id().to_owned()).collect();
        (group.name().to_owned(), group.state().to_owned(), group.protocol().to_owned(), clients)
    });
    assert_eq!(found.await, (group, "Stable".to_owned(), "range".to_owned(), vec!["dashboard".to_owned()]));
}

#[tokio::test]
async fn a_reader_without_a_group_life_commits() {
    let (name, group) = (topic("lone", 1).await, unique("group"));
    send(&producer(&[]), &name, 0, "only").await;
    let committed = blocking(move || {
        let lone = consumer(&[("group.id", &group)]);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&name, 0, Offset::Offset(1)).unwrap();
        lone.commit(&list, CommitMode::Sync).unwrap();
        lone.committed_offsets(list, WAIT).unwrap().elements()[0].offset()
    });
    assert_eq!(committed.await, Offset::Offset(1));
}
