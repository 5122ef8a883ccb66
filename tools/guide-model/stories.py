"""Children's stories from a grammar: one hero, one friend, and a chain of small adventures.

`[a|b]` in a template is a free choice, `{slot}` a word fixed for the story or the adventure. A story keeps its
hero, names, pronouns and friend from beginning to end, so that a small model can learn what coherence is.
"""

import re

import story_words as w

CHOICE = re.compile(r"\[([^\[\]]*)\]")

OPENINGS = (
    "[Once upon a time there was|Long ago there lived|There once was] {a_kind} [named|called] {hero}. "
    "{hero} lived {place}. {He} [loved|liked|always liked] {love}.",
    "Once upon a time, {place}, there lived {a_kind} [named|called] {hero}. [Every day|All day long|Most of all] {he} [loved|liked] {love}.",
    "{hero} was {a_kind} who lived {place}. [More than anything|Most of all] {he} [loved|liked] {love}.",
)
FRIENDS = (
    "{His} best friend was {a_helper} [named|called] {friend}.",
    "[Next door|Not far away|Close by] lived {a_helper} named {friend}, and the two were [good|best|the best of] friends.",
    "{He} had a good friend, {a_helper} called {friend}.",
)
ADVENTURES = (
    # Lost and found.
    "{when} {hero} could not find {his} {treasure}. {He} looked [everywhere|high and low|in every corner], but it was gone. "
    "\"[Do not cry|Do not worry|Do not be sad],\" said {friend}. \"[We will look together|I will help you|Four eyes see more than two].\" "
    "They [searched|looked] [all day|for a long time|until noon], and at last {friend} [saw|found] it {hiding}. "
    "{hero} [laughed|jumped for joy|hugged {friend}] and said, \"[Thank you, my friend|You are the best friend I have|What would I do without you]!\"",
    # A hungry stranger.
    "{when} {hero} met {a_stranger} who [looked sad|sat alone by the road|was very hungry]. \"[I have not eaten all day|My basket is empty|I am so hungry],\" said the {stranger}. "
    "{hero} had only some {food}, but {he} [shared it|gave half of it away]. The {stranger} [smiled|ate and smiled]. "
    "\"[One day I will help you too|I will never forget this|You have a kind heart],\" said the {stranger}. {hero} felt {feeling}.",
    # A storm.
    "{when} a great storm came. The wind [howled|blew and blew], and the rain fell [like a river|in big drops]. {hero} was [afraid|a little afraid|very frightened]. "
    "{He} ran to {friend}, and they sat [close together|side by side] under [an old roof|a thick tree|a warm blanket]. "
    "They [told each other stories|sang songs|counted the thunder] until the storm [was over|went away]. Then [a rainbow stood in the sky|the sun came out again|the stars came out].",
    # Crossing the river.
    "{when} {hero} wanted to [cross the river|get to the other side of the river|visit the far side of the river], but the bridge was broken. "
    "\"[The water is too deep|I cannot get across|What shall I do],\" said {hero}. {friend} had an idea. They found [a long log|an old door|three strong planks] and [pushed|laid] it over the water. "
    "[Step by step|Slowly and carefully|With shaking knees] they went across. \"[We did it|We made it]!\" called {hero}.",
    # Losing the way.
    "{when} {hero} [walked|went] too far and lost the way. Everything looked [strange|different] and it was getting dark. "
    "Then {he} saw [a small light|a little lantern|a row of glowing mushrooms]. It was {a_stranger}. \"[Follow me|Come with me|I know the way],\" said the {stranger}. "
    "Together they walked [through the trees|along the path|over the hill] until {hero} saw {his} home. {hero} [thanked|hugged] the {stranger} and [slept well that night|gave it some {food}].",
    # The birthday.
    "{when} it was {friend}'s birthday, but {hero} had no present. {He} [thought and thought|thought about it all night]. "
    "Then {he} [made|wrapped up] a {treasure} and brought some {food}. When {friend} saw it, {he_friend} [cried with joy|could not believe it|clapped and danced]. "
    "\"[The best presents come from the heart|This is the best birthday ever|You thought of me],\" said {friend}. They [ate and sang|danced|laughed] until [late in the night|the moon came up].",
    # Something is broken.
    "{when} [the old mill|the garden gate|the village clock|the roof of the house] broke, and nobody could mend it. \"[Let me try|I will try],\" said {hero}. "
    "[The others laughed|Nobody believed it|Everybody shook their heads], but {hero} [worked|tried] [all morning|the whole day|for three days], and {friend} brought [the tools|some nails|some {food}]. "
    "In the end [it worked again|it was better than before|it was as good as new]. Everybody cheered, and {hero} was {feeling}.",
    # A race.
    "{when} there was a [big|great] race. {a_stranger_cap} said, \"[I am the fastest|Nobody can beat me|I will win].\" {hero} ran as well as {he} could. "
    "[Halfway|Near the end|On the last hill] the {stranger} fell and hurt a foot. {hero} could have won, but {he} [stopped|turned back] and helped. "
    "They [came in last|reached the end together], yet everyone [clapped|cheered] for them. \"[You are the real winner|Winning is not everything],\" said {friend}.",
    # A cold night.
    "{when} it was [bitterly cold|so cold that the pond froze]. {hero} heard [a soft knock|a small voice] at the door. It was {a_stranger}, [shaking with cold|wet and tired|covered with snow]. "
    "\"[Come in|Come in and get warm|Sit by the fire],\" said {hero}. They shared some {food} and a blanket. In the morning the {stranger} gave {hero} a {treasure} [to say thank you|as a present]. {hero} kept it for ever.",
    # A secret door.
    "{when} {hero} and {friend} found a [small|secret|tiny] door [in an old wall|behind the ivy|in a hollow tree]. It was [locked|shut tight]. \"[Who has the key|What is behind it|Shall we look],\" whispered {friend}. "
    "They found the key {hiding}. Behind the door was [a garden full of lights|a room full of books|a stair that led up to the stars]. "
    "They [stayed there all day|looked at everything|could not stop smiling], and [promised to keep it a secret|came back many times].",
    # A lonely newcomer.
    "{when} {a_stranger} came [to live nearby|from far away]. Nobody [talked to|played with] the {stranger}, because it [looked different|was so quiet|spoke so softly]. "
    "But {hero} [went over|walked up] and said, \"[Would you like to play|Come and play with us|What is your favourite game]?\" The {stranger} [smiled for the first time|nodded shyly]. "
    "Soon they all [played|laughed] together, and {friend} said, \"[Now we are three|The more the merrier].\"",
    # A strange noise.
    "{when} {hero} heard a strange noise. [Boom, boom, boom|Tap, tap, tap|Woo, woo, woo]! \"[Is it a monster|What can that be|Who is there]?\" asked {hero}. "
    "{friend} [took a lantern|held {hero} tight], and they went to look. [Slowly|Quietly|On tiptoe] they came nearer. It was only {a_stranger} who [played on an old drum|was mending a chair|could not sleep]! They all laughed, and nobody was afraid any more.",
    # A seed.
    "{when} {hero} found a tiny seed {hiding}. {He} put it into the earth and gave it water. [Day after day|Every morning] {he} [waited|looked], but nothing happened. "
    "\"[Be patient|Good things take time|Wait a little more],\" said {friend}. Then [one morning|at last] a green leaf came out, and then a flower as [red as fire|blue as the sky|yellow as the sun]. {hero} was {feeling}.",
    # A wish.
    "{when} a star fell from the sky [into the garden|near the house|into the grass]. It was [cold and sad|very small]. \"[I want to go home|I miss my sisters|Please help me],\" said the star. "
    "{hero} and {friend} [climbed the highest hill|built a tall ladder], and [threw|lifted] the star up [with all their strength|as high as they could]. It [twinkled|shone] brighter than all the others. \"[You have one wish|Thank you],\" it called. {hero} wished that [all would be well|the friends would always stay together].",
    # A quarrel.
    "{when} {hero} and {friend} had a quarrel about a {treasure}. \"[It is mine|I saw it first]!\" said {hero}. \"No, [it is mine|I saw it first]!\" said {friend}. They both went home [angry|sad]. "
    "That night {hero} could not sleep. In the morning {he} [went to {friend}|knocked at {friend}'s door] and said, \"[I am sorry|Let us share it|You are more important to me].\" {friend} [smiled|was sorry too], and they were friends again.",
    # Learning something new.
    "{when} {hero} wanted to learn [how to whistle|how to juggle|how to play the flute|how to stand on one foot]. It was [hard|not easy], and {he} [failed|made mistakes] again and again. "
    "\"[I will never learn it|It is too hard for me],\" said {hero}. \"[Try once more|Nobody learns in one day|Let me show you],\" said {friend}. {hero} [practised|tried] every day. [After a week|In the end|One day] {he} could do it, and was {feeling}.",
    # A letter.
    "{when} a letter came for {hero}. It was from {a_stranger} [who lived far away|on the other side of the hills|whom nobody knew]. \"[Please visit me|Come and see me|I would like to meet you],\" it said. "
    "{hero} and {friend} [packed some {food}|took a map] and [walked for two days|went on their way]. The {stranger} [waited at the gate|ran to meet them] and they [talked|sat together] until [midnight|the sun went down].",
    # A market day.
    "{when} {hero} went to the market to [buy|look for] a {treasure}. But {he} [had no money|had lost the coins]. {a_stranger_cap} said, \"[Sing me a song|Tell me a story|Help me carry my baskets], and you can have it.\" "
    "{hero} [did so|did it gladly], and [all the people|everybody] [listened|smiled]. So {he} [got|earned] the {treasure} and [gave it to {friend}|took it home|showed it to {friend}].",
    # A night walk.
    "{when} {hero} and {friend} [could not sleep|went out at night]. The moon was [round|bright], and [the whole world was silver|everything was quiet]. They [met|saw] {a_stranger} who [watched the stars|danced alone|counted the stars]. "
    "\"[Sit down with me|Do you want to join me],\" said the {stranger}. They [sat|stayed] there until [the birds began to sing|morning came], and [nobody said a word|it was the most beautiful night of all].",
    # A rescue.
    "{when} {a_stranger} fell into [a deep hole|the cold water|a muddy ditch] and called for help. {hero} heard it first. {He} [ran as fast as {he} could|did not wait a moment] and [let down a rope|held out a long branch]. "
    "\"[Hold on|Hold tight],\" said {hero}. {friend} came to help, and they pulled [with all their strength|and pulled]. At last the {stranger} was safe. \"[You saved me|I thank you both],\" said the {stranger}.",
)
ENDINGS = (
    "From that day on {hero} knew that {lesson}. [The end.|]",
    "And so {hero} learned that {lesson}. [And they all lived happily ever after.|The end.|]",
    "That evening {hero} [lay in bed|looked at the moon|sat by the window] and thought, \"[What a day|I have the best friends]!\" Then {he} [fell asleep with a smile|closed {his} eyes and slept]. [The end.|]",
    "And {hero} and {friend} [stayed friends for ever|lived happily ever after]. [The end.|]",
)


def spin(random, template, slots):
    """Fill the slots and settle every choice of `template`."""
    for key, value in slots.items():
        template = template.replace("{" + key + "}", value)
    while CHOICE.search(template):
        template = CHOICE.sub(lambda match: random.choice(match.group(1).split("|")), template)
    return re.sub(r"\s+", " ", template).strip()


def with_article(noun):
    return ("an " if noun[0] in "aeiou" and not noun.startswith("uni") else "a ") + noun


def pronouns(random, kind):
    if kind in w.IT:
        return "it", "its"
    she = kind in w.SHE or (kind not in w.HE and random.random() < 0.5)
    return ("she", "her") if she else ("he", "his")


def name_for(random, pronoun, taken=()):
    pool = {"she": w.GIRL_NAMES, "he": w.BOY_NAMES, "it": w.THING_NAMES}[pronoun]
    return random.choice([name for name in pool if name not in taken])


def story(random, kind, adventures, name=None, pronoun=None):
    """A story about a hero of `kind` with that many adventures; about 70 words each."""
    he, his = pronouns(random, kind)
    if pronoun:
        he, his = pronoun, {"she": "her", "he": "his", "it": "its"}[pronoun]
    hero = name or name_for(random, he)
    helper = random.choice([animal for animal in w.ANIMALS + w.PEOPLE if animal != kind])
    he_friend, _ = pronouns(random, helper)
    friend = name_for(random, he_friend, (hero,))
    slots = {
        "hero": hero, "friend": friend, "he": he, "his": his, "He": he.capitalize(), "His": his.capitalize(),
        "he_friend": he_friend, "a_helper": with_article(helper), "place": random.choice(w.PLACES),
        "love": random.choice(w.LOVES),
    }
    adjective = random.choice(w.ADJECTIVES)
    slots["a_kind"] = with_article(f"{adjective} {kind}") if random.random() < 0.9 else with_article(kind)
    paragraphs = [spin(random, random.choice(OPENINGS), slots) + " " + spin(random, random.choice(FRIENDS), slots)]
    chosen = random.sample(ADVENTURES, min(adventures, len(ADVENTURES)))
    for number, adventure in enumerate(chosen):
        stranger = random.choice([animal for animal in w.ANIMALS if animal not in (kind, helper)])
        slots.update({
            "when": random.choice(w.TIMES if number == 0 else w.LATER), "treasure": random.choice(w.TREASURES),
            "hiding": random.choice(w.HIDING), "food": random.choice(w.FOODS), "feeling": random.choice(w.FEELINGS),
            "stranger": stranger, "a_stranger": with_article(stranger), "a_stranger_cap": with_article(stranger).capitalize(),
        })
        paragraphs.append(spin(random, adventure, slots))
    slots["lesson"] = random.choice(w.LESSONS)
    ending = spin(random, random.choice(ENDINGS), slots)
    if adventures <= 1:
        return " ".join(paragraphs + [ending])
    return "\n\n".join(paragraphs + [ending])


SHORT_ASKS = (
    "tell me a short story about {a}", "a short story about {a}", "short story about {a} please", "tell a short story about {a}",
    "give me a very short story about {a}", "write a short story about {a}", "a little story about {a}", "a brief tale about {a}",
    "can you tell me a short story with {a}", "short tale about {a}",
)
PLAIN_ASKS = (
    "tell me a story about {a}", "a story about {a}", "write a story about {a}", "tell a story about {a}", "story about {a}",
    "can you tell me a story about {a}", "i want a story about {a}", "please tell me a story about {a}", "tell me about {a} in a story",
    "make up a story about {a}", "invent a story about {a}", "could you write a tale about {a}", "tell me a tale of {a}",
    "i would like to hear a story about {a}", "story with {a}", "do you know a story about {a}", "tell my child a story about {a}",
    "a bedtime story about {a}", "bedtime story with {a} please", "{n} story", "story {n}", "write me a fairy tale about {a}", "once upon a time there was {a}",
)
LONG_ASKS = (
    "tell me a long story about {a}", "a long story about {a}", "write a long story about {a}", "tell a very long story about {a}",
    "long story about {a}", "please write a long tale about {a}", "i want a really long story about {a}", "a long bedtime story about {a}",
    "can you tell a long story with {a}", "tell me a story about {a}, a long one", "a long fairy tale about {a}", "write a story of many pages about {a}",
)
ANY = {
    "short": ("tell me a short story", "a short story please", "short story", "write a very short story", "a quick story"),
    "plain": ("tell me a story", "tell a story", "a story please", "story", "can you tell me a story", "i want a story", "write a story",
              "another story", "tell me a bedtime story", "bedtime story", "make up a story", "do you know stories", "read me a story", "one more story",
              "tell me something nice", "story time", "tell me a fairy tale", "tell me a tale"),
    "long": ("tell me a long story", "a long story please", "write a long story", "tell a very long story", "long story", "tell the longest story you know",
             "a really long story", "write a long tale with many adventures", "tell me a long bedtime story"),
}
LENGTHS = {"short": (1, 1), "plain": (2, 3), "long": (12, 20)}


def exchange(random, length):
    """A question for a story and the story: `length` is short, plain or long."""
    count = random.randint(*LENGTHS[length])
    kind = random.choice(w.ANIMALS if random.random() < 0.5 else w.PEOPLE + w.OBJECTS)
    if random.random() < 0.2:
        return random.choice(ANY[length]), story(random, kind, count)
    asks = {"short": SHORT_ASKS, "plain": PLAIN_ASKS, "long": LONG_ASKS}[length]
    phrase = random.choice(asks)
    if random.random() < 0.12 and length != "plain" or "{a}" in phrase and random.random() < 0.1:
        adjective = random.choice(w.ADJECTIVES)
        noun = with_article(f"{adjective} {kind}")
    else:
        noun = with_article(kind)
    if random.random() < 0.1:
        he = "she" if random.random() < 0.5 else "he"
        if kind in w.SHE: he = "she"
        if kind in w.HE: he = "he"
        name = name_for(random, he)
        question = phrase.replace("{a}", f"{noun} named {name}").replace("{n}", kind)
        return question, story(random, kind, count, name if "{a}" in phrase else None, he if "{a}" in phrase else None)
    return phrase.replace("{a}", noun).replace("{n}", kind), story(random, kind, count)


if __name__ == "__main__":
    import random as r
    for size in LENGTHS:
        question, text = exchange(r.Random(size), size)
        print("Q:", question, "\n", text, "\n", len(text.split()), "words\n")
