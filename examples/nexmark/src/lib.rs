//! The queries of Nexmark, a benchmark of an auction site, as operators of one component.
//!
//! The [job files](https://nexmark.github.io) beside this crate connect them: `jobs/q0.toml` to `jobs/q22.toml`.

pub mod averages;
pub mod bids;
pub mod calendar;
pub mod event;
pub mod expanded;
pub mod from_json;
pub mod highest;
pub mod hot_items;
pub mod json;
pub mod latest;
pub mod local_items;
pub mod newcomers;
pub mod prices;
pub mod row;
pub mod sessions;
pub mod side_input;
pub mod statistics;
pub mod windows;
pub mod winning;

wasmill_sdk::operators! {
    "from-json" => from_json::from_json,
    "pass" => bids::pass,
    "convert" => bids::convert,
    "select" => bids::select,
    "log-bids" => bids::log_bids,
    "calculate" => bids::calculate,
    "channel-ids" => bids::channel_ids,
    "folders" => bids::folders,
    "sellers" => local_items::sellers,
    "local-items" => local_items::LocalItems,
    "offers" => winning::Offers,
    "winning-bids" => winning::WinningBids,
    "averages" => averages::Averages,
    "averages-of-last" => averages::AveragesOfLast,
    "participants" => statistics::Participants,
    "distinct-participants" => statistics::DistinctParticipants,
    "daily-statistics" => statistics::DailyStatistics,
    "prices" => prices::prices,
    "price-statistics" => prices::DailyPrices,
    "bid-times" => hot_items::BidTimes,
    "sliding-counts" => hot_items::SlidingCounts,
    "hot-items" => hot_items::HotItems,
    "highest-of-batch" => highest::HighestOfBatch,
    "highest-bids" => highest::HighestBids,
    "newcomers" => newcomers::newcomers,
    "new-sellers" => newcomers::NewSellers,
    "sessions" => sessions::BidderSessions,
    "processing-time-counts" => sessions::ProcessingTimeCounts,
    "bids-to-enrich" => side_input::bids_to_enrich,
    "side-input" => side_input::SideInput,
    "bids-by-bidder-and-auction" => latest::bids_by_bidder_and_auction,
    "bids-by-auction" => latest::bids_by_auction,
    "last-bids" => latest::LastBids,
    "top-bids" => latest::TopBids,
    "bids-and-auctions" => expanded::bids_and_auctions,
    "expanded-bids" => expanded::ExpandedBids,
    "to-json" => json::ToJson,
}
