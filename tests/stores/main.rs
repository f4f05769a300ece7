//! One suite of behaviours, held against each kind of store, and what goes wrong with each.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where it fails"
)]

mod apart;
mod behaviours;
mod directory;
mod environment;
mod faults;
mod ground;
mod https;
mod quirks;
mod server;

/// The whole suite on one kind of store.
macro_rules! suite {
    ($kind:ident: $($behaviour:ident)+) => {
        mod $kind {
            $(#[test]
            fn $behaviour() {
                crate::ground::$kind(stringify!($behaviour), crate::behaviours::$behaviour);
            })+
        }
    };
}

macro_rules! suites {
    ($($kind:ident)+) => {$(
        suite! { $kind:
            what_is_put_is_got_back_byte_for_byte
            an_absent_object_is_no_error
            the_same_bytes_may_be_put_again
            other_bytes_under_a_name_are_refused_and_the_first_stay
            a_short_chunk_is_occupied_and_can_be_replaced
            replacing_writes_where_nothing_lay
            what_is_removed_is_gone_and_removing_nothing_is_no_fault
            a_listing_says_when_an_object_was_written
            an_object_that_was_listed_is_put_again_only_where_it_is_not
            reading_stops_one_byte_after_the_limit
            the_largest_chunk_goes_there_and_back
            a_listing_keeps_to_its_folder
            a_listing_of_more_than_one_page_is_whole
            foreign_names_are_listed
            of_two_writers_one_wins
            many_writers_of_one_chunk_all_succeed
            overwriting_is_refused_by_the_store_itself
            the_clock_is_about_right
            an_object_can_be_empty
        }
    )+};
}

suites! { directory_store in_process_s3 }

#[cfg(feature = "real-servers")]
suites! { real_s3 }
