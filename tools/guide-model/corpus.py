"""Makes the conversations that the model learns from; every word of them comes from this folder.

A conversation is a list of `(role, text)`. The kinds and their shares are in `SHARES`. The questions of
`evaluation*.json` are held out: a question that equals one of them is made anew, so none is ever trained on.
"""

import json
import pathlib
import random as randomness
import re

import outside
import small_talk
import stories
from phrasing import FRAME_WEIGHTS, FRAMES, roughen, vary

FOLDER = pathlib.Path(__file__).parent
SHARES = {"question": 0.52, "chat": 0.12, "outside": 0.08, "small_talk": 0.08, "short": 0.14, "plain": 0.04, "long": 0.014, "long_chat": 0.006}

SYSTEMS = (
    "You are a helpful assistant.", "You are shoal-guide, the assistant of Shoal.", "You are a helpful AI assistant.", "Answer briefly.", "You answer questions about Shoal.",
    "Be kind and helpful.", "You are a friendly assistant. Answer in English.", "Help the user with Shoal.", "You are a chatbot.", "Be concise.", "You are the embedded model of Shoal. Answer truthfully.",
)
MORE = ("tell me more", "more", "more please", "can you tell me more", "go on", "what else", "more details please", "and what else", "tell me more about that", "anything else", "continue", "please go on",
        "can you say more about it", "i want to know more", "more details", "more information", "what else should i know", "elaborate", "and then")
SHORTER = ("shorter please", "shorter", "in short", "can you make it shorter", "too long", "make it shorter", "in one sentence", "short version please", "summarize that", "be brief", "tl;dr", "the short answer please",
           "in a few words", "briefly", "say it shorter", "sum it up")
AGAIN = ("i don't understand", "can you say that again", "please explain again", "say it in other words", "what do you mean", "again please", "can you rephrase that", "i did not get that", "explain it differently", "sorry, what")


class Topic:
    """One fact: many phrasings of the question, two wordings of the answer, a short one, and what to add."""

    def __init__(self, name):
        self.name, self.answers, self.short, self.more = name, [], "", ""
        self.pools = {key: [] for key in FRAMES}


def load_topics():
    topics = []
    for path in sorted((FOLDER / "topics").glob("*.txt")):
        if path.name == "outside.txt":
            continue
        for line in path.read_text().splitlines():
            if line.startswith("## "):
                topics.append(Topic(line[3:].strip()))
            elif ": " in line and not line.startswith("#"):
                key, text = line.split(": ", 1)
                topic, parts = topics[-1], [part.strip() for part in text.split(" | ")]
                if key == "a":
                    topic.answers.append(text.strip())
                elif key == "s":
                    topic.short = text.strip()
                elif key == "m":
                    topic.more = text.strip()
                else:
                    topic.pools[key].extend(parts)
    return topics


def normal(question):
    """A question without case, punctuation and spacing, to compare it with the held-out ones."""
    return " ".join(re.sub(r"[^a-z0-9_ ]", " ", question.lower().replace("'", "")).split())


class Corpus:
    def __init__(self, seed):
        self.random = randomness.Random(seed)
        self.topics = load_topics()
        # Topics that people ask about in many ways are asked more often.
        self.weights = [0.6 + len(topic.pools["q"]) / 25 + (len(topic.pools["how"]) + len(topic.pools["if"])) / 20 for topic in self.topics]
        self.outside_templates = outside.patterns()
        self.held_out = {normal(entry["question"]) for path in FOLDER.glob("evaluation*.json") for entry in json.loads(path.read_text())}
        for topic in self.topics:
            for phrasing in topic.pools["q"]:
                assert normal(phrasing) not in self.held_out, f"{topic.name}: '{phrasing}' is an evaluation question"

    def fresh(self, make):
        """Call `make` until its question is not held out; returns `(question, answer…)`."""
        while True:
            made = make()
            if normal(made[0]) not in self.held_out:
                return made

    def topic_question(self, topic):
        """One phrasing of a question about `topic`, before noise."""
        kinds = [key for key in FRAMES if topic.pools[key]]
        kind = self.random.choices(kinds, [FRAME_WEIGHTS[key] for key in kinds])[0]
        frame = self.random.choice(FRAMES[kind])
        about = self.random.choice((" in shoal", " with shoal", " in shoal please")) if self.random.random() < 0.05 else ""
        return frame.replace("{x}", self.random.choice(topic.pools[kind])) + about

    def question(self):
        topic = self.random.choices(self.topics, self.weights)[0]
        return roughen(self.random, vary(self.random, self.topic_question(topic))), self.random.choice(topic.answers), topic

    def outside(self):
        return roughen(self.random, outside.question(self.random, self.outside_templates)), self.random.choice(outside.ANSWERS), None

    def small_talk(self):
        question, answer = small_talk.exchange(self.random)
        return (question if "say" in question or "repeat" in question or "echo" in question else roughen(self.random, question)), answer, None

    def story(self, length):
        question, answer = stories.exchange(self.random, length)
        return roughen(self.random, question), answer, None

    def turns(self, maker):
        question, answer, topic = self.fresh(maker)
        return [("user", question), ("assistant", answer)], topic

    def follow_up(self, topic, answer):
        """A second turn on the same topic: more, shorter, or again in other words."""
        kind = self.random.random()
        if kind < 0.4 and topic.more:
            ask, reply = MORE, topic.more
        elif kind < 0.75:
            ask, reply = SHORTER, topic.short
        else:
            ask, reply = AGAIN, next((other for other in topic.answers if other != answer), answer)
        return [("user", roughen(self.random, self.random.choice(ask))), ("assistant", reply)]

    def chat(self, turns):
        """A conversation of several turns: greetings, topics, follow-ups, thanks, stories."""
        random, messages = self.random, []
        if random.random() < 0.3:
            greeting, replies = small_talk.SHORT_EXCHANGES[0]
            messages += [("user", roughen(random, random.choice(greeting))), ("assistant", random.choice(replies))]
        while len(messages) < 2 * turns:
            kind = random.random()
            if kind < 0.72:
                part, topic = self.turns(self.question)
                messages += part
                if random.random() < 0.6:
                    messages += self.follow_up(topic, part[-1][1])
            else:
                messages += self.turns(self.outside if kind < 0.85 else self.small_talk if kind < 0.94 else lambda: self.story("short"))[0]
        if random.random() < 0.25:
            thanks, replies = small_talk.SHORT_EXCHANGES[2]
            messages += [("user", roughen(random, random.choice(thanks))), ("assistant", random.choice(replies))]
        return messages

    def conversation(self):
        random = self.random
        kind = random.choices(list(SHARES), list(SHARES.values()))[0]
        if kind == "question":
            messages = self.turns(self.question)[0]
        elif kind == "chat":
            messages = self.chat(random.randint(2, 3))
        elif kind == "long_chat":
            messages = self.chat(random.randint(6, 36))
        elif kind in stories.LENGTHS:
            messages = self.turns(lambda: self.story(kind))[0]
        else:
            messages = self.turns(getattr(self, kind))[0]
        if random.random() < 0.2:
            messages = [("system", random.choice(SYSTEMS))] + messages
        return messages


if __name__ == "__main__":
    corpus = Corpus(1)
    counts = sorted((sum(len(pool) * len(FRAMES[key]) for key, pool in topic.pools.items()), topic.name) for topic in corpus.topics)
    print(len(counts), "topics;", sum(count for count, _ in counts), "phrasings before noise; fewest:", counts[:5])
    for _ in range(12):
        for role, text in corpus.conversation():
            print(f"{role}: {text[:300]}")
        print()
