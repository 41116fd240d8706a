"""1 to 1,000 replicas behind a load balancer, in virtual time, and the check against real ones."""
