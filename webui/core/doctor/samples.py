"""What a model is examined with: texts that every model has read, and questions that a sound one can answer."""

from __future__ import annotations

# Article 1 of the Universal Declaration of Human Rights (https://www.un.org/en/about-us/universal-declaration-of-human-rights
# and its translations): the text with the most translations, so that every model foresees it in the languages it knows.
KNOWN_TEXTS = {
    "English": "All human beings are born free and equal in dignity and rights. They are endowed with reason and "
    "conscience and should act towards one another in a spirit of brotherhood.",
    "Chinese": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "Spanish": "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y "
    "conciencia, deben comportarse fraternalmente los unos con los otros.",
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen "
    "begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    "Russian": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью "
    "и должны поступать в отношении друг друга в духе братства.",
    "Japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、"
    "理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。",
}

QUESTIONS = (
    "What is the capital of France? Answer in one sentence.",
    "Write two sentences about the sea.",
    "Name three animals that live on a farm.",
)

# Each must come back from the tokenizer as it went in.
TOKENIZER_TEXTS = {
    "plain English": "The quick brown fox can't jump 3.14 metres, can it?",
    "code": 'def f(x: int) -> str:\n\treturn f"{x!r:>8}"  # 0xFF\n\n\nif __name__ == "__main__":\n    f(2**10)\n',
    "whitespace": "one  two   three\n\n\n    four\tfive \n six",
    "emoji": "👍🏽 👩\u200d👩\u200d👧 🇳🇴 ❤️",
    "accents": "Ærlig, naïve café – “größer” ½ € ñandú",
    "Cyrillic and Greek": "Съешь ещё этих мягких булок; Ξεσκεπάζω",
    "Chinese, Japanese and Korean": "你好，世界。こんにちは世界。안녕하세요 세계",
    "Arabic and Hebrew": "مرحبا بالعالم، שלום עולם",
    "Indic and Thai": "नमस्ते दुनिया สวัสดีชาวโลก",
}
PLAIN_ENGLISH = "plain English"

# Plain words without an order, so that no prompt is like another and no answer can be foreseen from the prompt.
_WORDS = (
    "apple river stone window garden paper table music winter letter bridge silver market forest candle mirror ocean "
    "pocket summer travel wonder yellow button castle dinner engine flower guitar hammer island jacket kitchen ladder"
)
WORDS = tuple(_WORDS.split())

PROSE = (
    "The old lighthouse stood at the end of a narrow road, where the fields gave way to rock and the rock gave way to "
    "the sea. Every evening the keeper climbed the stairs with a lamp in one hand and a book in the other."
)
