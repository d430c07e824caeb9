-- What the queries read. Columns that a kind of event lacks are null.
create view bid as
select auction, bidder, price, channel, url, date_time, extra from event where kind = 'bid';

create view auction as
select id, item_name, description, initial_bid, reserve, date_time, expires, seller, category, extra
from event where kind = 'auction';

create view person as
select id, name, city, state, date_time from event where kind = 'person';

-- Each auction with its bids while it was open; rn = 1 is the winning one. Ties: the earlier bid, then the lower number of the bidder.
create view winning as
select a.*, b.auction, b.bidder, b.price, b.date_time as bid_date_time, b.extra as bid_extra,
       row_number() over (partition by a.id order by b.price desc, b.date_time, b.bidder, b.extra) as rn
from auction a join bid b on a.id = b.auction and b.date_time between a.date_time and a.expires;
