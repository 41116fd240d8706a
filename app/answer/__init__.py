"""From a question to an answer: retrieve candidates, select the best, write or extract."""
