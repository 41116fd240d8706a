"""Questions and passages with which engines are measured."""

from __future__ import annotations

from itertools import cycle, islice

from app.engines import Encoder, Pair

QUESTIONS = (
    "how long may I keep a library book",
    "what causes high blood pressure",
    "which river flows through Vienna",
    "how do I reset the password of my account",
    "when does a contract end if nobody renews it",
    "why does bread dough have to rest",
    "how are vaccines tested before they are approved",
    "what is the difference between a virus and a bacterium",
)
SENTENCES = (
    "Books are lent for four weeks, and a loan can be renewed twice at the desk or online.",
    "The library opens at nine and closes at six, except on public holidays.",
    "A fee of twenty cents a day is charged for each book that comes back late.",
    "Salt makes the body hold water, which raises the pressure in the arteries.",
    "High blood pressure often has no symptoms, and stiff arteries are a common cause of it.",
    "Regular walking lowers the resting heart rate within a few weeks.",
    "The Danube rises in the Black Forest and flows through Vienna, Budapest and Belgrade.",
    "Several bridges cross the river in the old town, the oldest from the fourteenth century.",
    "Vienna was the capital of the Habsburg empire for more than four hundred years.",
    "To set a new password, open the account page and follow the link that is sent by mail.",
    "An account is locked after five failed attempts and opens again after half an hour.",
    "Keep your recovery codes in a safe place: support cannot read your password.",
    "The contract runs for twelve months and ends by itself unless both parties renew it.",
    "Either party may give notice in writing, three months before the end of the term.",
    "Payments that are overdue bear interest at the rate fixed by law.",
    "While the dough rests, yeast turns sugar into gas and the gluten relaxes.",
    "Bake the loaf at a high heat for ten minutes, then lower it until the crust is brown.",
    "Flour with more protein takes up more water and gives a firmer crumb.",
    "A vaccine is first tried on a few healthy volunteers, then on thousands of people.",
    "Regulators look at the trial data, and side effects are watched after approval too.",
    "Doses have to be kept cold on the way from the factory to the clinic.",
    "A bacterium is a living cell, while a virus needs the cells of a host to multiply.",
    "Antibiotics act against bacteria and do nothing against viruses.",
    "The market square is closed to cars on Saturdays between seven and two.",
)
SENTENCES_PER_PASSAGE = (1, 4, 2, 7, 3, 1, 5, 2, 10, 3, 6, 1)


def passages() -> list[str]:
    """One that starts at each sentence, shorter and longer in turn."""
    return [
        " ".join(islice(cycle(SENTENCES), start, start + length))
        for start, length in zip(range(len(SENTENCES)), cycle(SENTENCES_PER_PASSAGE), strict=False)
    ]


def lists(encoder: Encoder) -> list[list[Pair]]:
    """The passages as candidates of each question."""
    return [
        [
            encoded.pair
            for encoded in encoder.encode(question, passages(), instruction=None, cut="right")
        ]
        for question in QUESTIONS
    ]
