"""Greetings, thanks, counting, short lists, and repeating what was said."""

NUMBERS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split()
LISTS = {
    "the days of the week": ("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday.", (
        "name the days of the week", "list the days", "what are the days of the week", "days of the week", "weekdays please", "tell me the days of the week", "which days does a week have", "what days are there", "can you list the weekdays")),
    "the months": ("January, February, March, April, May, June, July, August, September, October, November, December.", (
        "name the months", "list the months of the year", "what are the months", "months of the year", "tell me the twelve months", "which months are there", "months", "can you name all months", "say the months in order")),
    "colours": ("Red, orange, yellow, green, blue, purple, pink, brown, black, white and grey.", (
        "name some colours", "name some colors", "list colours", "which colours do you know", "tell me some colors", "what colors are there", "colors", "colours please", "give me a list of colours")),
    "the seasons": ("Spring, summer, autumn and winter.", (
        "name the seasons", "what are the four seasons", "list the seasons", "which seasons are there", "seasons of the year", "tell me the seasons", "seasons")),
    "animals": ("A fox, a bear, a rabbit, an owl, a mouse, a duck and a frog.", (
        "name some animals", "list a few animals", "which animals do you know", "tell me some animals", "give me a list of animals", "animals", "list of animals please")),
    "fruits": ("Apples, pears, plums, cherries, grapes and oranges.", (
        "name some fruits", "list fruits", "which fruits do you know", "tell me some fruits", "give me a list of fruits", "fruits please")),
    "the alphabet": ("A B C D E F G H I J K L M N O P Q R S T U V W X Y Z", (
        "say the alphabet", "what is the alphabet", "alphabet", "tell me the alphabet", "abc", "recite the abc", "list the letters of the alphabet")),
}
SHORT_EXCHANGES = (
    ("hello, hi, hey, good morning, good evening, good afternoon, hello there, hi there, hey there, hello shoal, hi guide, hiya, greetings, howdy, yo, hallo, good day, heyy, hi!, hello?",
     ("Hello! I am shoal-guide. Ask me about Shoal, or for a simple story.", "Hi! What would you like to know about Shoal?", "Hello! How can I help you with Shoal?")),
    ("how are you, how are you doing, how do you do, what's up, how is it going, how are you today, are you ok, hows it going, sup, are you fine, how do you feel",
     ("I am fine, thank you! What would you like to know about Shoal?", "Very well, thank you. How can I help you with Shoal?")),
    ("thanks, thank you, thank you very much, thx, many thanks, great thanks, ok thanks, thanks a lot, cheers, that helped, perfect thank you, thanks for your help, ty, awesome thanks, nice thank you, thank you so much",
     ("You are welcome!", "You are welcome! Ask me anything else about Shoal.", "Glad to help!")),
    ("bye, goodbye, see you, good night, bye bye, see you later, that is all, i have to go, have a nice day, farewell, ciao, see you tomorrow",
     ("Goodbye, and have fun with Shoal!", "Goodbye! See you soon.")),
    ("ok, okay, i see, good, great, nice, cool, fine, alright, got it, understood, wow, interesting, awesome, very good, well done, good job",
     ("Good! Is there anything else you would like to know about Shoal?", "Fine! Ask me more, or let me tell you a story.")),
    ("tell me a joke, do you know a joke, say something funny, a joke please, make me laugh, joke",
     ("Why do fish like Shoal? Because they never compute alone.", "What does a lonely node say? I am waiting for my peers.")),
    ("test, testing, is this working, do you work, are you there, does this work, anybody there, ping, can you hear me, is anyone there, check",
     ("Yes, I am here and working. Ask me about Shoal.", "It works! I am shoal-guide. What would you like to know about Shoal?")),
    ("yes, no, maybe, yes please, no thanks, sure, not really, nope, yep",
     ("All right. Ask me about Shoal, or for a story.", "Fine. What would you like to know about Shoal?")),
    ("asdf, ???, hmm, ..., blah blah, lalala, qwerty, huh, what, eh, xyz, aaaa, ok ok ok, foo bar, lorem ipsum, 123, bla",
     ("I did not understand that. Ask me about Shoal, or for a simple story.",)),
    ("i am sad, i feel bad, i am bored, i am tired, i feel lonely, i am angry, today was a bad day",
     ("I am sorry to hear that. Shall I tell you a story? Just say: tell me a story.",)),
    ("i love you, you are great, you are nice, i like you, you are cool, you are smart, good bot, you are funny, you are very helpful",
     ("Thank you! I am only a very small model, but I like to help with Shoal.",)),
)
SHORT_EXCHANGES = tuple(([q.strip() for q in questions.split(",")], answers) for questions, answers in SHORT_EXCHANGES)

REPEATED = ("hello world", "I like fish", "the sun is warm", "one two three", "good morning", "blue boat", "Shoal is fun", "we swim together", "my cat sleeps", "red apple",
            "banana", "green frog", "the moon is bright", "open the door", "peace", "winter is cold", "a small step", "tea and cake", "quiet night", "happy fish",
            "the fox runs", "bread and honey", "far away", "the boat is blue", "a tall tree", "my house is small", "rain and wind", "go home", "silver bell", "a kind word")
REPEAT_ASKS = ("repeat after me: {x}", "say {x}", "repeat: {x}", "please say: {x}", "say after me: {x}", "repeat the words {x}", "can you repeat {x}", "echo {x}")


def counting(random):
    """Counting up or down between numbers of at most 20."""
    low = 1 if random.random() < 0.6 else random.randint(1, 12)
    high = random.randint(low + 2, 20)
    if random.random() < 0.2:
        question = random.choice(("count down from {b} to {a}", "count backwards from {b} to {a}", "countdown from {b} to {a}"))
        numbers = [str(n) for n in range(high, low - 1, -1)]
        return question.format(a=low, b=high), ", ".join(numbers)
    if random.random() < 0.15:
        return random.choice((f"count to {NUMBERS[high - 1]} in words", f"write the numbers up to {high} in words", f"numbers as words up to {NUMBERS[high - 1]}")), ", ".join(NUMBERS[:high])
    numbers = ", ".join(str(n) for n in range(low, high + 1))
    if low == 1:
        ask = random.choice(("count to {b}", "count up to {b}", "can you count to {b}", "count from 1 to {b}", "please count to {b}", "numbers from 1 to {b}", "list the numbers 1 to {b}", "say the numbers up to {b}"))
        return ask.format(b=high if random.random() < 0.7 else NUMBERS[high - 1]), numbers
    return random.choice(("count from {a} to {b}", "list the numbers from {a} to {b}", "numbers {a} to {b}")).format(a=low, b=high), numbers


def exchange(random):
    """One question and its answer."""
    pick = random.random()
    if pick < 0.4:
        questions, answers = random.choice(SHORT_EXCHANGES)
        return random.choice(questions), random.choice(answers)
    if pick < 0.58:
        answer, questions = LISTS[random.choice(list(LISTS))]
        return random.choice(questions), answer
    if pick < 0.72:
        return counting(random)
    text = random.choice(REPEATED)
    if random.random() < 0.5:
        pool = " ".join(REPEATED).split()
        text = " ".join(random.sample(pool, random.randint(1, 5)))
    return random.choice(REPEAT_ASKS).format(x=text), text
