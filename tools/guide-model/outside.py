"""Questions outside the model's knowledge, and the honest answer to them."""

import pathlib
import re

FILLERS = {
    "country": "France, Germany, Spain, Italy, Japan, China, India, Brazil, Canada, Mexico, Egypt, Kenya, Norway, Sweden, Poland, Turkey, Russia, Australia, Peru, Chile, Greece, Portugal, Austria, Vietnam, Nigeria, the United States, England, Ireland, Korea, Finland, Belgium",
    "city": "Paris, London, Berlin, Rome, Madrid, Tokyo, New York, Boston, Chicago, Moscow, Cairo, Delhi, Sydney, Vienna, Lisbon, Prague, Dublin, Oslo, Beijing, Toronto, San Francisco, Munich, Zurich",
    "language": "python, javascript, java, rust, go, c, c++, typescript, html, bash, ruby, php, sql, haskell, css",
    "event": "world cup, election, super bowl, olympic games, tour de france, chess championship, football match, nobel prize",
    "person": "Einstein, Napoleon, Mozart, Shakespeare, Newton, Caesar, Picasso, Cleopatra, Gandhi, Darwin, Beethoven, Lincoln, Columbus, Galileo, Plato, Marie Curie, Taylor Swift, Elvis, Ada Lovelace, Bach, Washington, Churchill",
    "subject": "gravity, photosynthesis, quantum physics, evolution, black holes, inflation, democracy, the french revolution, world war two, climate change, philosophy, economics, electricity, dna, magnets, the roman empire, algebra, geometry, vaccines, volcanoes, earthquakes, religion, the stock market, football, music, art, history, chemistry, biology, blockchain, the universe, dinosaurs, love, capitalism, calculus, psychology, yoga, tennis, poetry, atoms, the moon landing",
    "word": "hello, house, love, water, bread, thank you, good night, friend, dog, book, sun, cat, goodbye, cheese",
    "tongue": "French, German, Spanish, Italian, Japanese, Chinese, Russian, Latin, Portuguese, Arabic, Dutch, Swedish, Greek",
    "food": "pasta, rice, eggs, bread, pizza, soup, chicken, a cake, potatoes, pancakes, curry, salad, fish, cookies, lasagna, risotto, an apple pie",
    "illness": "a cold, fever, headache, cough, the flu, back pain, diabetes, allergies, a sore throat",
    "book": "Hamlet, the Bible, Faust, Moby Dick, Harry Potter, Don Quixote, the Odyssey, Dracula, War and Peace, Frankenstein",
    "thing": "car, phone, bicycle, washing machine, fridge, camera, lamp, sink, door, television, radio, printer, watch, telephone, light bulb, toaster, guitar",
    "space": "moon, sun, earth, universe, planet Mars, milky way, planet Venus, planet Jupiter",
    "animal": "dog, cat, elephant, whale, tiger, cow, horse, bee, penguin, lion, shark, rabbit, bear, panda",
}
FILLERS = {key: [item.strip() for item in text.split(",")] for key, text in FILLERS.items()}

ANSWERS = (
    "I am a very small model (about 7 million parameters) that only knows Shoal and simple stories. "
    "For that, load a bigger model: `shoal up --models DIR` with your own GGUF files.",
    "I do not know that: I am a very small model that only knows Shoal and simple stories. "
    "A bigger model can help; start Shoal with `shoal up --models DIR` and your own GGUF files.",
    "That is beyond me. I am a very small model, with about 7 million parameters, and only know Shoal and simple stories. "
    "Please load a bigger model with `shoal up --models DIR`.",
)
SHORT_ANSWER = "I do not know that; please load a bigger model."


def patterns():
    text = (pathlib.Path(__file__).parent / "topics" / "outside.txt").read_text()
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def question(random, templates):
    """One question from a random template, with its blanks filled at random."""

    def fill(match):
        key = match.group(1)
        if key == "number":
            return str(random.randint(1, random.choice((9, 99, 999))))
        if key == "year":
            return str(random.randint(1500, 2025))
        return random.choice(FILLERS[key])

    return re.sub(r"\{(\w+)\}", fill, random.choice(templates))
