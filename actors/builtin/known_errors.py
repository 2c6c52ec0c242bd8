"""What common errors usually mean, and what to look at first."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """An error by name and message, with its usual cause and the next step."""

    error: str
    message: str
    cause: str
    step: str


KNOWN = (
    Known("AttributeError", r"'NoneType' object has no attribute",
          "Something that was expected to be an object is None: a look-up found nothing, or a function has no return.",
          "Follow the value back to where it became None; decide there, or check before the use."),
    Known("AttributeError", r"module .* has no attribute|partially initialized",
          "The module is another one than expected: a file of your own with its name, a circle of imports, or an old version.",
          "Print `module.__file__`; look for a file of that name in the project and for imports that go in a circle."),
    Known("AttributeError", "", "The object is of another type than the code expects, or the name is misspelt.",
          "Print `type(value)` just before the line, and compare with the class."),
    Known("KeyError", "", "A dictionary lacks the key: the input is incomplete, or spelt otherwise (case, text and number).",
          "Print the keys just before the line; use `.get` only if a missing key is normal."),
    Known("IndexError", "", "A list is shorter than expected, often empty.",
          "Print its length before the line; think of the empty case first."),
    Known("TypeError", r"'NoneType' object is not|unsupported operand .*NoneType",
          "A value is None where something else is needed.", "Follow the value back to where it became None."),
    Known("TypeError", r"missing \d+ required|takes .* positional|unexpected keyword",
          "The call does not fit the function's signature: it was changed, or another function is called.",
          "Compare the call with the definition; search for other callers of it."),
    Known("TypeError", r"not JSON serializable", "A value that JSON does not know (a date, a Decimal, a set) is to be written.",
          "Turn it into text or a number before, or give the encoder a `default`."),
    Known("TypeError", r"is not a function", "The name holds something else: a wrong import (default or named), or it is not set yet.",
          "Print `typeof` of it; check how the module exports it."),
    Known("TypeError", r"Cannot (?:read|set) propert", "An object is undefined or null when its property is used.",
          "Check what returns it, most often an answer that has not come or has another shape."),
    Known("TypeError", "", "Values of types that do not go together, often text with a number.",
          "Print the types of all values of the line."),
    Known("ValueError", r"not enough values|too many values", "What is unpacked has another length than the names on the left.",
          "Print it before the line; a line of input may lack a column."),
    Known("ValueError", r"invalid literal|could not convert", "A text is no number: empty, with blanks, a comma or a unit.",
          "Print it with `repr`; clean it or refuse it where it comes in."),
    Known("ValueError", "", "A value is of the right type and still not allowed.", "Read the message against the value at that line."),
    Known("ZeroDivisionError", "", "The divisor is 0, most often the length or sum of something empty.",
          "Decide what the answer for the empty case is, and give it before dividing."),
    Known("ModuleNotFoundError", "", "The package is not installed in the Python that runs, or the path lacks your project.",
          "Compare `sys.executable` with where you installed it; check its name on the index, which may differ."),
    Known("ImportError", r"circular import|partially initialized", "Two modules import each other at load time.",
          "Move what both need into a third module, or import inside the function."),
    Known("ImportError", "", "The name is not in that module, at least not in the version that is installed.",
          "Look at the installed version and its changelog."),
    Known("NameError", "", "A name is used that nobody has set: misspelt, not imported, or set in another scope.",
          "Search for the place where it should be set."),
    Known("UnboundLocalError", "", "The function sets the name somewhere, so it is local, and uses it before.",
          "Set it on every way to this line, or rename one of the two."),
    Known("RecursionError", "", "A function calls itself without reaching an end.", "Look at what changes between the calls; the end is never met."),
    Known("UnicodeDecodeError", "", "The bytes are not in the encoding they are read with, or are no text at all.",
          "Open the file with its real encoding (`encoding=`), often cp1252 or utf-16."),
    Known("JSONDecodeError", "", "What is read is no JSON: empty, an error page, or cut off.", "Print its first 200 characters and the status of the answer."),
    Known("FileNotFoundError", "", "The path is relative to another folder than expected, or the file is made later.",
          "Print the absolute path and the current folder."),
    Known("PermissionError", "", "The user that runs the program may not do that with the file.", "Compare `ls -l` of the path with the user it runs as."),
    Known("ConnectionRefusedError", "", "Nobody listens at that address and port.", "Check that the service runs, and from where: in a container, localhost is the container."),
    Known("TimeoutError", "", "The other side did not answer in time.", "Measure how long it takes by hand; look for a lock or a missing index there."),
    Known("AssertionError", "", "The code checked itself, or a test expected something else.", "Compare both sides of the assertion with their values."),
    Known("MemoryError", "", "The process asked for more memory than it may have.", "Look for a list of everything where a loop over parts would do."),
    Known("OSError", r"Too many open files", "Files or sockets are opened and not closed.", "Use `with`; list them with `lsof -p`."),
    Known("OSError", r"No space left", "The disk is full.", "Look at `df -h` and at what grows."),
    Known("IntegrityError", "", "The database refused a row: not unique, or it points to one that is not there.",
          "Read which constraint the message names; two requests at once are the usual reason."),
    Known("OperationalError", r"locked", "Another connection holds a lock on the database.", "Look for a transaction that stays open."),
    Known("OperationalError", "", "The database could not be reached or ended the connection.", "Check address, credentials and the server's log."),
    Known("ReferenceError", "", "A name is used that is not defined, or before its `let` or `const`.", "Search for its definition and the order of the lines."),
    Known("RangeError", r"call stack", "A function calls itself without end.", "Look at what changes between the calls."),
    Known("SyntaxError", r"JSON", "What is parsed is no JSON, often an HTML error page.", "Print the raw answer before parsing."),
    Known("SyntaxError", "", "The code cannot be read: the mistake is at or just before the line.", "Look for an open bracket or quote above it."),
    Known("Error", r"Cannot find module", "The package is not installed, or the path is wrong.", "Run the install; check capital letters in the path."),
    Known("Error", r"ECONNREFUSED", "Nobody listens at that address and port.", "Check that the service runs and the port is right."),
    Known("Error", r"ENOENT", "A file or program is not there.", "Print the absolute path."),
    Known("NullPointerException", "", "A reference is null when it is used.", "Newer JVMs name it in the message; follow it back to where it is set."),
    Known("ClassNotFoundException", "", "A class is not on the class path at run time.", "Compare the class path with the build file; look at scopes."),
    Known("NoSuchMethodError", "", "Compiled against another version than the one that runs.", "Look for two versions of the library in the dependency tree."),
    Known("ClassCastException", "", "An object is of another class than the cast says.", "Print its class; generics hide such a mix."),
    Known("ConcurrentModificationException", "", "A collection is changed while it is walked through.", "Use the iterator's remove, or walk over a copy."),
    Known("ArrayIndexOutOfBoundsException", "", "An index is beyond the end of the array.", "Compare index and length before the line."),
    Known("NumberFormatException", "", "A text is no number.", "Print it in quotes; clean or refuse it where it comes in."),
    Known("OutOfMemoryError", "", "The heap is full.", "Take a heap dump; look for a collection that only grows."),
    Known("StackOverflowError", "", "A method calls itself without end.", "Look at the frames that repeat."),
    Known("IllegalStateException", "", "A method is called at the wrong time.", "Read the message; check the order of calls."),
)  # fmt: skip


def known(error: str, message: str) -> Known | None:
    """The entry that fits best: the name, and the message if the entry asks for one."""
    fitting = (
        each for each in KNOWN if each.error == error and re.search(each.message, message, re.IGNORECASE)
    )
    return next(fitting, None)
