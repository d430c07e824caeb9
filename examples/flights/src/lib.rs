//! Operators over the flights of 2013: departures by event time, delays, sessions, joins with the weather.
