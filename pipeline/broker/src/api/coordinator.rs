//! Who coordinates (this node, always), and which groups there are.

use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    BrokerId, DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse, GroupId,
    ListGroupsRequest, ListGroupsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::NODE_ID;
use crate::groups::Group;
use crate::state::Shared;

pub(super) fn find(shared: &Shared, _request: &FindCoordinatorRequest) -> FindCoordinatorResponse {
    FindCoordinatorResponse::default()
        .with_node_id(BrokerId(NODE_ID))
        .with_host(StrBytes::from_static_str("127.0.0.1"))
        .with_port(i32::from(shared.port))
}

pub(super) fn list_groups(shared: &Shared, version: i16, request: &ListGroupsRequest) -> ListGroupsResponse {
    let state = shared.lock();
    let wanted = &request.states_filter;
    let groups =
        state.groups.iter().filter(|(_, g)| wanted.is_empty() || wanted.iter().any(|s| **s == *g.phase_name())).map(
            |(name, group)| {
                let listed = ListedGroup::default()
                    .with_group_id(StrBytes::from_string(name.clone()).into())
                    .with_protocol_type(group.protocol_type().clone());
                // The field exists since version 4.
                if version >= 4 {
                    return listed.with_group_state(StrBytes::from_static_str(group.phase_name()));
                }
                listed
            },
        );
    ListGroupsResponse::default().with_groups(groups.collect())
}

pub(super) fn describe_groups(shared: &Shared, request: &DescribeGroupsRequest) -> DescribeGroupsResponse {
    let state = shared.lock();
    let groups = request.groups.iter();
    let groups = groups.map(|id| describe(id.clone(), state.groups.get(id)));
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe(id: GroupId, group: Option<&Group>) -> DescribedGroup {
    let described = DescribedGroup::default().with_group_id(id);
    let Some(group) = group else {
        return described.with_group_state(StrBytes::from_static_str("Dead"));
    };
    let members = group.members().iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(member.id.clone())
            .with_client_id(StrBytes::from_string(member.client_id.clone()))
            .with_client_host(StrBytes::from_static_str("/127.0.0.1"))
            .with_member_metadata(member.subscription(group.protocol()))
            .with_member_assignment(member.assignment.clone())
    });
    described
        .with_group_state(StrBytes::from_static_str(group.phase_name()))
        .with_protocol_type(group.protocol_type().clone())
        .with_protocol_data(group.protocol().clone())
        .with_members(members.collect())
}
