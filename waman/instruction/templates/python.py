"""Wordings of the tasks about Python."""

from collections.abc import Mapping

from waman.instruction.templates.template import Template, listing, plain, turned

TEMPLATES: Mapping[str, tuple[Template, ...]] = {
    "line_parses": (
        *plain(
            "Is this line of Python well formed? {line}",
            "Is this well-formed Python?\n\n{line}",
            "Does this parse? {line}",
            "Would Python accept this line?\n\n{line}",
            "Yes or no: is this Python?\n\n{line}",
            "Is the syntax right? {line}",
        ),
        *listing(
            "{line}\n\nIs the line above well-formed Python?",
            "Judge the syntax of this line of Python. Is it right?\n\n{line}",
        ),
        *turned(
            ("Write a line. Is it well-formed Python? {answer}", "{line}"),
            ('Write a line of which one says "{answer}" when asked whether it parses.', "{line}"),
        ),
    ),
    "which_parses": listing(
        "Which of these lines is well-formed Python?",
        "Only one of these lines parses. Which?",
        "Pick the line that Python accepts.",
        "Find the line whose syntax is right.",
        "One of these lines is Python, the others are scrambled. Which is it?",
        "Choose the well-formed line.",
        "Which line has its words in the right order?",
        "Which line would run?",
        "Write down the line without a syntax error.",
        "Tell the line of Python from the scrambled ones.",
    ),
    "repair_line": (
        *plain(
            "Repair this line of Python: {line}",
            "{line}\n\nTwo words of this line have changed places. Write it as it should be.",
            "Put this line of Python right.\n\n{line}",
            "Correct the syntax: {line}",
            "This line does not parse. What should it be?\n\n{line}",
            "Fix this line: {line}",
        ),
        *listing("{line}\n\nWhich line is meant?"),
        *turned(
            ("Break this line of Python by exchanging two words: {answer}", "{line}"),
            ("Make a syntax error out of this line.\n\n{answer}", "{line}"),
            ("{answer}\n\nExchange two words of this line.", "{line}"),
        ),
    ),
    "next_token": (
        *plain(
            "What comes next? {line}",
            "Complete this line of Python by one sign or keyword: {line}",
            "How does this line of Python go on?\n\n{line}",
            "Which sign or keyword follows? {line}",
            "Go on with this line:\n\n{line}",
        ),
        *listing(
            "{line}\n\nWhat comes next?",
            "Which of these follows in this line of Python? {line}",
            "Choose what comes next: {line}",
        ),
        *turned(
            ("Begin a line of Python that goes on with {answer}", "{line}"),
            ("Which line may {answer} follow?", "{line}"),
        ),
    ),
    "missing_token": (
        *plain(
            "Fill the gap: {line}",
            "What is missing at ____ in this line of Python? {line}",
            "{line}\n\nWhich sign or keyword belongs into the gap?",
            "Complete this line of Python.\n\n{line}",
            "One sign or keyword was blotted out. Which? {line}",
        ),
        *listing(
            "{line}\n\nWhat belongs into the gap?",
            "Which of these fills the gap? {line}",
            "Choose what stands at ____ : {line}",
        ),
        *turned(
            ("Write a line of Python with a gap that {answer} fills.", "{line}"),
            ("Where could {answer} stand? Write a line with a gap for it.", "{line}"),
        ),
    ),
    "put_in_order": (
        *plain(
            "Put these lines of Python in order.\n\n{lines}",
            "{lines}\n\nWrite these lines in the right order.",
            "These lines were shuffled. Sort them.\n\n{lines}",
            "Order these lines so that they make a program:\n\n{lines}",
            "{lines}\n\nWhat is the right order?",
            "Unshuffle this code.\n\n{lines}",
            "In which order do these lines stand in the program?\n\n{lines}",
        ),
        *turned(
            ("Shuffle these lines.\n\n{answer}", "{lines}"),
            ("{answer}\n\nWrite these lines in a wrong order.", "{lines}"),
            ("Put these lines into disorder.\n\n{answer}", "{lines}"),
        ),
    ),
    "summary_of_signature": (
        *plain(
            "What does this function do? {signature}",
            "{signature}\n\nSay in one sentence what this function does.",
            "Describe this function: {signature}",
            "Write a docstring for this function.\n\n{signature}",
            "What is this function for? {signature}",
            "Explain this signature. {signature}",
        ),
        *listing("{signature}\n\nWhat does this function do?"),
        *turned(
            ("{answer} What is the signature of a function that does this?", "{signature}"),
            ("Write the first line of the function with this docstring: {answer}", "{signature}"),
            ("Which function does this? {answer}", "{signature}"),
        ),
    ),
    "signature_of_summary": (
        *plain(
            "Write the signature of a function for this description: {summary}",
            "{summary}\n\nWrite the signature of a function that does this.",
            "Which signature fits? {summary}",
            "How would you declare this function? {summary}",
            "Begin a function with this docstring: {summary}",
            "Give the def line for: {summary}",
        ),
        *listing("{summary}\n\nWhich function is this?"),
        *turned(
            ("What would the docstring of this function say? {answer}", "{summary}"),
            ("{answer}\n\nDocument this.", "{summary}"),
            ("Summarize this function: {answer}", "{summary}"),
        ),
    ),
    "name_of_summary": (
        *plain(
            "What is the function called that does this? {summary}",
            "{summary}\n\nName a function that does this.",
            "Find a name for a function with this docstring: {summary}",
            "Which function does this? {summary}",
            "Name this function: {summary}",
        ),
        *listing(
            "{summary}\n\nWhat is this function called?",
            "Which of these functions is described? {summary}",
        ),
        *turned(
            ("What might a function called {answer} do?", "{summary}"),
            ("Write a docstring for {answer}.", "{summary}"),
            ("{answer}: what does it do?", "{summary}"),
        ),
    ),
    "module_of_name": (
        *plain(
            "Which module is {name} from?",
            "Where does {name} come from?",
            "From which module is {name} imported?",
            "Complete the import: from ... import {name}",
            "{name} is defined in a module. Which?",
            "In which module do I find {name}?",
        ),
        *listing("Which module is this from? {name}"),
        *turned(
            ("Name something from the module {answer}.", "{name}"),
            ("What can be imported from {answer}?", "{name}"),
            ("What does the module {answer} offer?", "{name}"),
        ),
    ),
    "name_of_module": (
        *plain(
            "What can I import from {module}?",
            "Name something that {module} defines.",
            "What is in the module {module}?",
            "Complete the import: from {module} import ...",
            "What does {module} offer?",
            "Which name belongs to {module}?",
        ),
        *listing("Which of these is from {module}?"),
        *turned(
            ("{answer} is from which module?", "{module}"),
            ("Which module offers {answer}?", "{module}"),
            ("Where is {answer} defined?", "{module}"),
        ),
    ),
    "import_for_line": (
        *plain(
            "Which import does this line need? {line}",
            "{line}\n\nWhat must be imported first?",
            "Write the import for this line: {line}",
            "This line fails for want of an import. Which? {line}",
            "What has to stand at the head of the file for this? {line}",
            "Which module does this line use? Write the import. {line}",
        ),
        *listing("{line}\n\nWhich import does this line need?"),
        *turned(
            ("Write a line that needs this: {answer}", "{line}"),
            ("How is this used? {answer}", "{line}"),
            ("{answer}\n\nUse what was imported.", "{line}"),
        ),
    ),
}
