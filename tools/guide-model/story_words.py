"""The words that stories are made of: heroes, names, places, things, helpers."""


def words(text):
    return [word.strip() for word in text.split(",")]


ANIMALS = words(
    "fox, bear, rabbit, mouse, owl, cat, dog, horse, cow, pig, sheep, goat, duck, goose, hen, frog, turtle, snail, "
    "hedgehog, squirrel, deer, wolf, lion, tiger, elephant, giraffe, monkey, zebra, penguin, whale, dolphin, fish, "
    "shark, crab, seal, otter, beaver, badger, mole, bat, bee, ant, butterfly, spider, ladybird, crow, swan, sparrow, "
    "parrot, donkey, camel, kangaroo, koala, panda, snake, lizard, crocodile, dragon, unicorn, puppy, kitten, lamb, "
    "pony, bird, worm, octopus, raccoon, moose, hamster, peacock, robin, salmon, starfish"
)
PEOPLE = words(
    "girl, boy, princess, prince, king, queen, knight, witch, wizard, giant, dwarf, fairy, mermaid, pirate, farmer, "
    "baker, sailor, fisherman, gardener, shepherd, teacher, doctor, painter, tailor, miller, grandmother, grandfather, "
    "old man, old woman, child, clown, cook, postman, hunter, astronaut, elf, ghost, snowman, scientist"
)
OBJECTS = words(
    "boat, train, robot, teapot, cloud, star, tree, flower, balloon, kite, car, bus, ship, lamp, clock, chair, spoon, "
    "shoe, hat, umbrella, pencil, book, lighthouse, house, computer, rocket, bicycle, tractor, moon, snowflake, "
    "raindrop, leaf, stone, candle, key, drum, violin, toy, doll, button, pumpkin, apple, carrot, potato, bridge, "
    "windmill, machine, truck, plane, wave, river, mountain, rainbow, wind, mirror, cup, bell, box, blanket, broom"
)
SHE = set(words("girl, princess, queen, witch, fairy, mermaid, grandmother, old woman, hen, cow"))
HE = set(words("boy, prince, king, knight, wizard, grandfather, old man, fisherman, postman, snowman, pirate"))
IT = set(OBJECTS) - set(words("robot, doll, moon"))

GIRL_NAMES = words(
    "Mia, Lily, Rosa, Nora, Ella, Ada, Lucy, Emma, Hazel, Ruby, Daisy, Ivy, Molly, Tilda, Wanda, Greta, Olive, Pia, "
    "Luna, Flora, Maja, Nina, Bella, Clara, Edith, Fanny, Dora, Poppy, Willa, Zoe"
)
BOY_NAMES = words(
    "Tom, Ben, Max, Oscar, Felix, Leo, Finn, Hugo, Otto, Sam, Theo, Jack, Milo, Bruno, Emil, Anton, Paul, Fred, Gus, "
    "Karl, Ned, Pip, Rory, Toby, Will, Arlo, Basil, Casper, Edgar, Jasper"
)
THING_NAMES = words("Bobo, Dot, Pippin, Tumble, Sparkle, Rusty, Puff, Whistle, Tiny, Jolly, Bumble, Twinkle, Patch, Pebble, Dusty, Chip")

ADJECTIVES = words(
    "little, small, young, brave, shy, clever, kind, curious, gentle, cheerful, quiet, lazy, proud, funny, friendly, "
    "lonely, hungry, merry, careful, dreamy, silly"
)
PLACES = words(
    "in a green forest, by a blue lake, near the wide sea, at the foot of a mountain, in a small village, "
    "on a quiet farm, at the edge of a wood, beside a river, in an old garden, on a sunny hill, "
    "in a big town, on a small island, in a deep valley, behind an old mill, near a stone bridge, "
    "in a cosy house, under a tall oak tree, at the end of a long road"
)
LOVES = words(
    "to sing songs in the morning, to look at the stars at night, to collect shiny stones, to tell jokes, "
    "to bake sweet bread, to dance in the rain, to swim in the cool water, to climb up high, to paint pictures, "
    "to listen to old stories, to play hide and seek, to plant flowers, to run very fast, to sleep in the sun, "
    "to ask many questions, to build small towers, to watch the clouds, to help other people"
)
TREASURES = words(
    "red ball, silver bell, golden key, blue hat, warm scarf, little drum, shiny stone, wooden whistle, yellow kite, "
    "glass marble, soft blanket, paper boat, green lantern, old map, small flute, round mirror, woollen sock, tin box"
)
FOODS = words(
    "apple pie, warm soup, honey bread, ripe berries, carrot cake, sweet pears, fresh milk, nut cookies, "
    "pancakes, plum jam, corn bread, hot chocolate, cheese, roasted chestnuts"
)
HIDING = words(
    "under a big leaf, behind an old log, in a hollow tree, between two stones, at the bottom of the well, "
    "on top of a fence, inside a basket, next to the pond, under the bench, in the tall grass"
)
FEELINGS = words("happy, glad, proud, full of joy, very pleased, warm inside")
LESSONS = words(
    "a good friend is worth more than gold, small helpers can do great things, it is good to ask for help, "
    "being brave does not mean having no fear, sharing makes everything sweeter, patience brings you far, "
    "kind words open many doors, together nothing is too heavy, every day can bring something new, "
    "it is never too late to say sorry, home is where your friends are"
)
TIMES = words(
    "One morning, One day, One sunny afternoon, One evening, One cold day, Early one morning, One windy day, "
    "On a bright spring day, One quiet Sunday"
)
LATER = words(
    "The next morning, A few days later, The next day, A week later, Soon after that, When spring came, "
    "Some time later, On the following day, One week after that, When the moon was full, Not long after, "
    "When summer came, In the autumn, When the first snow fell"
)
