//! What every backend must do. A backend's tests call [`fulfil`] with a way to make an empty store.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

mod clients;
mod codes;
mod consents;
mod documents;
mod grants;
mod once;
mod pending;
mod registrations;
mod samples;
mod sessions;
mod upstream_tokens;

pub use self::samples::sample_client;
use crate::Stores;

/// Runs the whole contract; `make` returns an empty backend.
pub async fn fulfil(make: impl AsyncFn() -> Stores) {
    pending::a_pending_authorization_is_taken_exactly_once(&make().await).await;
    pending::another_browser_neither_reads_nor_takes(&make().await).await;
    codes::a_code_is_redeemed_exactly_once_and_remembers_its_grant(&make().await).await;
    grants::a_refresh_token_rotates_and_its_reuse_ends_the_family(&make().await).await;
    grants::parallel_refreshes_get_the_same_successor(&make().await).await;
    grants::a_family_ends_by_inactivity_and_absolutely(&make().await).await;
    grants::a_grant_that_is_there_is_not_inserted_again(&make().await).await;
    grants::a_generation_that_the_store_has_lost_is_the_current_one(&make().await).await;
    grants::a_family_ends_with_the_last_generation_that_can_be_counted(&make().await).await;
    grants::an_ended_login_is_noted_without_disturbing_the_family(&make().await).await;
    clients::a_registration_ends_unless_it_is_used(&make().await).await;
    clients::a_registration_is_changed_and_deleted(&make().await).await;
    consents::approvals_are_per_user_and_client(&make().await).await;
    upstream_tokens::upstream_tokens_are_per_session_and_upstream(&make().await).await;
    upstream_tokens::of_two_that_replace_the_same_tokens_one_succeeds(&make().await).await;
    sessions::a_session_lives_as_long_as_its_grants(&make().await).await;
    registrations::of_two_that_register_first_one_is_kept(&make().await).await;
    registrations::the_index_has_every_registration_of_a_deployment(&make().await).await;
    once::a_turn_has_one_holder_until_it_is_given_back_or_ends(&make().await).await;
    documents::documents_are_kept_until_their_time(&make().await).await;
    once::a_key_is_claimed_once(&make().await).await;
}
