"""The boundary lab: a proxy pair between a phone outside and peers inside, in network namespaces. Used by Scripts/lab."""
