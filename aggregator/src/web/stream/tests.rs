mod conversation;
mod same_for_all;
