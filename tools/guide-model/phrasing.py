"""How people put a question: frames around a phrase, synonyms, politeness, typos, spelling habits."""

import re

WHAT_FRAMES = (
    "what is {x}", "what's {x}", "whats {x}", "what are {x}", "explain {x}", "can you explain {x}", "{x}", "{x}?", "tell me about {x}", "what does {x} mean",
    "what do you know about {x}", "describe {x}", "i don't understand {x}", "please explain {x}", "define {x}", "explain {x} to me", "info about {x}",
    "tell me something about {x}", "how does {x} work", "what is meant by {x}", "explain {x} in simple words", "i want to know what {x} is", "what exactly is {x}",
    "give me an explanation of {x}", "more about {x}", "{x} explained", "could you tell me what {x} is", "help me understand {x}", "what's the meaning of {x}", "what is {x} for", "what is {x} good for", "why do i need {x}", "the term {x}", "what do you mean by {x}", "{x} in a nutshell", "{x}, what is that",
    "what is the purpose of {x}", "give me the basics of {x}", "i read about {x}, what is it", "when do i need {x}", "what is the point of {x}", "say something about {x}", "what are {x} and what are they for", "describe {x} in short",
)
IF_FRAMES = (
    "what happens when {x}", "what if {x}", "what happens if {x}", "{x}, what now", "{x}. what happens", "is it a problem when {x}", "is it bad if {x}", "does it matter if {x}", "what does shoal do when {x}", "what will happen when {x}",
    "suppose {x}", "{x}", "what should i do when {x}", "how does shoal react when {x}", "can shoal survive when {x}", "what would happen if {x}", "will it still work when {x}", "do i lose anything when {x}", "{x}, is that bad",
    "what do you do when {x}", "what happens to the cluster when {x}", "and when {x}", "tell me what happens when {x}", "what happens to my models if {x}", "imagine {x}", "is everything lost when {x}",
)
ERROR_FRAMES = (
    "i get {x}", "i am getting {x}", "i got {x}", "i see {x}", "my request failed with {x}", "the api returned {x}", "the server says {x}", "{x}", "what does {x} mean", "what is {x}", "{x}, what should i do", "why do i see {x}", "how do i fix {x}",
    "why {x}", "{x} what now", "what can i do about {x}", "help, {x}", "it answers {x}", "it fails with {x}", "meaning of {x}", "how can i avoid {x}", "my app shows {x}", "there is {x} in my log", "what causes {x}", "reason for {x}",
    "i always get {x}", "sometimes i get {x}", "the response is {x}", "how to solve {x}", "the client says {x}", "curl gives me {x}", "explain {x}", "why does it say {x}", "shoal says {x}", "my request ended with {x}",
)
HOW_FRAMES = (
    "how do i {x}", "how to {x}", "how can i {x}", "how do you {x}", "how do we {x}", "i want to {x}", "i'd like to {x}", "help me {x}", "show me how to {x}", "what is the command to {x}",
    "which command do i need to {x}", "{x}", "is it possible to {x}", "can i {x}", "what do i do to {x}", "what must i do to {x}", "best way to {x}", "explain how to {x}",
    "tell me how to {x}", "how would i {x}", "how does one {x}", "what's the way to {x}", "steps to {x}", "i need to {x}", "please tell me how to {x}", "where can i {x}", "how should i {x}",
    "i am trying to {x}", "what do i type to {x}", "do you know how to {x}", "can you tell me how i can {x}", "how could we {x}",
)
BEFORE = ("please ", "hey, ", "hi, ", "quick question: ", "so ", "ok, ", "um, ", "hello, ", "sorry, ", "i wonder, ", "one question: ", "and ", "but ", "excuse me, ", "hi! ", "can you tell me: ", "well, ", "next question: ", "i am new to this. ", "i just installed it. ", "a friend told me about this. ", "my question is: ", "just wondering, ", "tell me, ", "maybe you know: ", "i have a question, ", "good morning, ", "thanks. ", "ok thanks, ", "now ", "be honest: ", "in plain words, ", "i was wondering ", "good evening, ", "dear guide, ", "listen, ", "since i am curious: ")
AFTER = (" please", " thanks", ", please", "?", " ??", "!", " exactly", " then", " again", " by the way", " for me", " here", " i am new to this", ", i am new here", " now", ", my friend", " actually", " today", " in short", ", can you explain", " i wonder", " on my machine", " in detail", " in general")

# What a line of a topic file holds: phrases for these frames, and how often they are taken against each other.
FRAMES = {"q": ("{x}",), "what": WHAT_FRAMES, "how": HOW_FRAMES, "if": IF_FRAMES, "err": ERROR_FRAMES}
FRAME_WEIGHTS = {"q": 0.6, "what": 0.5, "how": 0.6, "if": 0.6, "err": 0.6}

# Words that people use for one another; a question is varied with them so that the model learns more than one wording.
SYNONYMS = """
machine, computer, pc, device, box, server
machines, computers, pcs, devices, boxes
laptop, notebook, macbook, thinkpad
start, launch, run, boot, fire up
crash, failure, breakdown
crashes, dies, fails, breaks down, goes down, stops working
dies, disappears, goes away, is gone, is lost, breaks
use, work with, make use of
see, view, look at, check, find
show, print, display, list, give me
get, obtain, have, receive
need, require, have to have, must have
big, large, huge
bigger, larger, stronger
small, tiny, little
fast, quick
slow, sluggish, laggy
stop, abort, end, halt, interrupt
add, attach, connect, hook up, bring in
join, enter, become part of
second, another, additional, new
gpu, graphics card, video card
gguf file, gguf, .gguf file, gguf model
folder, directory
licence, license
question, query
request, call
answer, reply, response, output
error, failure, problem
error, message, code
which, what
model, llm, language model
speed, performance, throughput
memory, ram
settings, parameters, options
several, many, multiple, a few, more than one
one, a single
private, safe, confidential
prompts, messages, texts, questions
terminal, shell, console, command line
endpoint, url, path, address, route
address, url, location
measure, test, find out
difference between, differences of
mean, stand for, say
change, set, adjust, modify
tell me about, explain, describe, talk about
how do i, how can i, how could i, how might i, how shall i, in what way can i
how does, in which way does
what is, what's, what exactly is
what happens, what will happen, what goes on
what happens, what does shoal do
works, runs, functions
work, function, run
is it possible to, can i, am i able to, may i
do i need, must i have, is it necessary to have, do i have to buy, should i have
install, set up
download, fetch, get
version, release
command, instruction
"""
SYNONYMS = [[word.strip() for word in line.split(",")] for line in SYNONYMS.strip().splitlines()]
SYNONYMS_OF = {}
for group in SYNONYMS:
    for word in group:
        SYNONYMS_OF.setdefault(word, []).extend(other for other in group if other != word)
SYNONYM = re.compile(r"(?<![\w-])(" + "|".join(re.escape(word) for word in sorted(SYNONYMS_OF, key=len, reverse=True)) + r")(?![\w-])")
FILLERS = ("the", "a", "an", "do", "does", "is", "my", "to", "of", "i", "can", "please")


def vary(random, question):
    """Swap some words for others of the same meaning, and now and then leave a little word out."""
    question = SYNONYM.sub(lambda match: random.choice(SYNONYMS_OF[match.group(1)]) if random.random() < 0.3 else match.group(1), question)
    words = question.split(" ")
    if len(words) > 4 and random.random() < 0.12:
        places = [i for i, word in enumerate(words) if word in FILLERS]
        if places:
            del words[random.choice(places)]
    return " ".join(words)


def typo(random, text):
    """Swap, drop, double or replace one letter of a word with at least four letters."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    if not places:
        return text
    i = random.choice(places)
    word, at = words[i], random.randint(1, len(words[i]) - 2)
    kind = random.random()
    if kind < 0.35:
        word = word[:at] + word[at + 1] + word[at] + word[at + 2:]
    elif kind < 0.65:
        word = word[:at] + word[at + 1:]
    elif kind < 0.85:
        word = word[:at] + word[at] + word[at:]
    else:
        word = word[:at] + random.choice("abcdefghijklmnopqrstuvwxyz") + word[at + 1:]
    words[i] = word
    return " ".join(words)


def roughen(random, question):
    """The same question as different people would type it."""
    if random.random() < 0.18:
        question = random.choice(BEFORE) + question
    if random.random() < 0.15:
        question += random.choice(AFTER)
    while random.random() < 0.16:
        question = typo(random, question)
    style = random.random()
    if style < 0.5 and not question.endswith(("?", "!", ".")):
        question = question[0].upper() + question[1:]
        starts = ("what", "how", "can", "is", "do", "does", "why", "where", "which", "who", "are", "could", "when", "should", "will")
        question += "?" if question.lower().startswith(starts) else random.choice(("", ".", "?"))
    elif style < 0.62:
        question += "?"
    elif style < 0.66:
        question = question.upper() if random.random() < 0.2 else question.title()
    elif style < 0.8:
        question = question.lower().replace("'", "")
    return question
