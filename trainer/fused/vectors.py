"""A small language for loops over vectors of numbers, compiled by LLVM for the machine it runs on.

A kernel is a Python function that calls a :class:`Code`; what it calls becomes instructions:

    with code.loop(0, count, code.width) as i:
        output.store(code.multiply_add(input.load(i), factor, output.load(i)), i)

Variables that are set in a loop stay in the processor's registers as long as they fit there, and
that is the point: it is for the author of a kernel to say what does. Compiling takes 0.1 to 0.5 s.
"""

import ctypes
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeAlias

from llvmlite import binding, ir

LOG_2 = (0.693145751953125, 1.428606820309417e-06)
"""Its first digits, exact in 32 bits, and the rest."""

INDEX, BYTE = ir.IntType(64), ir.IntType(8)

Holds: TypeAlias = Literal["numbers", "bytes", "indices"]
"""What is at an address: numbers of the program's type, bytes, or 64-bit whole numbers."""


@dataclass(frozen=True)
class Machine:
    """A processor: the bytes of one of its vector registers, and how many of them it has."""

    vector_bytes: int
    registers: int
    name: str
    features: str


@cache
def this_machine() -> Machine:
    """The processor that this program runs on."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    features = binding.get_host_cpu_features()
    name, flags = binding.get_host_cpu_name(), features.flatten()
    if features.get("avx512f"):
        return Machine(64, 32, name, flags)
    if features.get("avx"):
        return Machine(32, 16, name, flags)
    arm = binding.get_default_triple().startswith(("aarch64", "arm64"))
    return Machine(16, 32 if arm else 16, name, flags)


class Index:
    """A whole number of the compiled program, with the arithmetic that offsets need."""

    def __init__(self, builder: Any, value: Any) -> None:
        self._builder, self.value = builder, value

    def __add__(self, other: "Index | int") -> "Index":
        return Index(self._builder, self._builder.add(self.value, _value(other)))

    def __sub__(self, other: "Index | int") -> "Index":
        return Index(self._builder, self._builder.sub(self.value, _value(other)))

    def __mul__(self, other: "Index | int") -> "Index":
        return Index(self._builder, self._builder.mul(self.value, _value(other)))

    def at_least(self, least: int) -> "Index":
        small = self._builder.icmp_signed("<", self.value, INDEX(least))
        return Index(self._builder, self._builder.select(small, INDEX(least), self.value))

    def at_most(self, most: "Index | int") -> "Index":
        large = self._builder.icmp_signed(">", self.value, _value(most))
        return Index(self._builder, self._builder.select(large, _value(most), self.value))


def _value(index: Index | int) -> Any:
    return INDEX(index) if isinstance(index, int) else index.value


class Code:
    """A compiled function in the making.

    Args:
        program: where it will stand.
        pointers: its arguments that are addresses, by name.
        indices: names of its arguments after those, 64-bit whole numbers.

    Attributes:
        width: numbers in a vector.
    """

    def __init__(
        self,
        program: "Program",
        name: str,
        pointers: Mapping[str, Holds],
        indices: Sequence[str],
    ) -> None:
        self.width, self._number = program.width, program.number
        self.vector = program.vector
        self._bytes = ir.VectorType(BYTE, self.width)
        held = {"numbers": program.number, "bytes": BYTE, "indices": INDEX}
        types = [held[holds].as_pointer() for holds in pointers.values()]
        kind = ir.FunctionType(ir.VoidType(), types + [INDEX] * len(indices))
        function = ir.Function(program.module, kind, name)
        for argument in function.args[: len(pointers)]:
            argument.add_attribute("noalias")
        entry = function.append_basic_block()
        body = function.append_basic_block()
        self._variables = ir.IRBuilder(entry)
        self._variables.position_before(self._variables.branch(body))
        self._builder = ir.IRBuilder(body)
        self._function = function
        self._program = program
        self.pointers = dict(zip(pointers, function.args, strict=False))
        self.indices = {
            name: Index(self._builder, argument)
            for name, argument in zip(indices, function.args[len(pointers) :], strict=True)
        }

    @contextmanager
    def loop(self, start: Index | int, stop: Index | int, step: int = 1) -> Iterator[Index]:
        """Repeat what is called inside, at least once."""
        builder = self._builder
        before, body, after = (
            builder.block,
            self._function.append_basic_block(),
            self._function.append_basic_block(),
        )
        builder.branch(body)
        builder.position_at_end(body)
        counter = builder.phi(INDEX)
        counter.add_incoming(_value(start), before)
        yield Index(builder, counter)
        following = builder.add(counter, INDEX(step))
        counter.add_incoming(following, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, _value(stop)), body, after)
        builder.position_at_end(after)

    def end(self) -> None:
        self._builder.ret_void()

    def variables(self, count: int) -> list["Variable"]:
        """Vectors that can be set; :class:`Program` puts them into registers."""
        return [Variable(self._builder, self._variables.alloca(self.vector)) for _ in range(count)]

    def index(self, number: int) -> Index:
        return Index(self._builder, INDEX(number))

    def constant(self, number: float) -> Any:
        return ir.Constant(self.vector, [number] * self.width)

    def constant_bytes(self, number: int) -> Any:
        return ir.Constant(self._bytes, [number] * self.width)

    def load(self, pointer: Any, offset: Index) -> Any:
        return self._builder.load(self._address(pointer, offset, self.vector), align=4)

    def store(self, vector: Any, pointer: Any, offset: Index) -> None:
        align = 1 if vector.type.element == BYTE else 4
        self._builder.store(vector, self._address(pointer, offset, vector.type), align=align)

    def load_index(self, pointer: Any, offset: Index) -> Index:
        return Index(self._builder, self._builder.load(self._builder.gep(pointer, [offset.value])))

    def load_bytes(self, pointer: Any, offset: Index, count: int | None = None) -> Any:
        """As many bytes as a vector has numbers, or another count."""
        kind = ir.VectorType(BYTE, count or self.width)
        return self._builder.load(self._address(pointer, offset, kind), align=1)

    def interleave(self, a: Any, b: Any) -> tuple[Any, Any]:
        """The first halves of two vectors, place by place in turn, and their second halves."""
        count = a.type.count
        order = [place + side * count for place in range(count) for side in (0, 1)]
        kind = ir.VectorType(ir.IntType(32), count)
        halves = (order[:count], order[count:])
        low, high = (self._builder.shuffle_vector(a, b, ir.Constant(kind, half)) for half in halves)
        return low, high

    def as_numbers(self, some_bytes: Any, divisor: float) -> Any:
        """Bytes as numbers, divided."""
        kind = ir.VectorType(self._number, some_bytes.type.count)
        divisors = ir.Constant(kind, [divisor] * kind.count)
        return self._builder.fdiv(self._builder.uitofp(some_bytes, kind), divisors)

    def load_everywhere(self, pointer: Any, offset: Index) -> Any:
        """One number from memory, in all places of a vector."""
        one = self._builder.load(self._builder.gep(pointer, [offset.value]))
        nothing = ir.Constant(self.vector, ir.Undefined)
        first = self._builder.insert_element(nothing, one, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.width), [0] * self.width)
        return self._builder.shuffle_vector(first, nothing, zeros)

    def store_sum(self, vector: Any, pointer: Any, offset: Index) -> None:
        """The sum over a vector's places, as one number to memory."""
        start = ir.Constant(self._number, 0.0)
        total = self._builder.call(self._program.reduce, [start, vector], fastmath=("reassoc",))
        self._builder.store(total, self._builder.gep(pointer, [offset.value]))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """``a * b + c``, rounded once where the processor can."""
        return self._builder.call(self._program.multiply_add, [a, b, c])

    def add(self, a: Any, b: Any) -> Any:
        return self._builder.fadd(a, b)

    def subtract(self, a: Any, b: Any) -> Any:
        return self._builder.fsub(a, b)

    def multiply(self, a: Any, b: Any) -> Any:
        return self._builder.fmul(a, b)

    def divide(self, a: Any, b: Any) -> Any:
        return self._builder.fdiv(a, b)

    def root(self, a: Any) -> Any:
        return self._builder.call(self._program.root, [a])

    def exp(self, a: Any) -> Any:
        """e to a power: two to a whole one, times a series for what is left, to the last digit."""
        builder, program = self._builder, self._program
        terms, least, most = (14, -708.0, 709.0) if program.bits == 64 else (8, -87.0, 88.0)
        a = self.select(builder.fcmp_ordered("<", a, self.constant(least)), self.constant(least), a)
        a = self.select(builder.fcmp_ordered(">", a, self.constant(most)), self.constant(most), a)
        halves = self.multiply_add(a, self.constant(1 / math.log(2)), self.constant(0.5))
        whole = builder.call(program.floor, [halves])
        rest = a
        for part in LOG_2:
            rest = self.multiply_add(whole, self.constant(-part), rest)
        series = self.constant(1 / math.factorial(terms - 1))
        for power in reversed(range(terms - 1)):
            series = self.multiply_add(series, rest, self.constant(1 / math.factorial(power)))
        return self.multiply(series, self._two_to(whole))

    def _two_to(self, whole: Any) -> Any:
        """Two to a whole power, by writing it where a number has its exponent."""
        bits, builder = self._program.bits, self._builder
        kind = ir.IntType(bits)
        several = ir.VectorType(kind, self.width)
        number = builder.fcmp_ordered("ord", whole, whole)  # else what is not one has no bits
        power = builder.fptosi(self.select(number, whole, self.constant(0)), several)
        bias, places = (1023, 52) if bits == 64 else (127, 23)
        biased = builder.add(power, ir.Constant(several, [bias] * self.width))
        shifted = builder.shl(biased, ir.Constant(several, [places] * self.width))
        return builder.bitcast(shifted, self.vector)

    def sigmoid(self, a: Any) -> Any:
        one = self.constant(1)
        return self.divide(one, self.add(one, self.exp(self.subtract(self.constant(0), a))))

    def tanh(self, a: Any) -> Any:
        twice = self.sigmoid(self.add(a, a))
        return self.subtract(self.add(twice, twice), self.constant(1))

    def larger(self, a: Any, b: Any) -> Any:
        """Where ``a > b``, or ``a`` is not a number: so that those win, as in torch."""
        above = self._builder.fcmp_ordered(">", a, b)
        return self._builder.or_(above, self._builder.fcmp_unordered("uno", a, a))

    def not_above(self, a: Any, b: Any) -> Any:
        return self._builder.fcmp_ordered("<=", a, b)

    def same(self, a: Any, b: Any) -> Any:
        """Where two vectors of bytes agree."""
        return self._builder.icmp_unsigned("==", a, b)

    def has_bit(self, some_bytes: Any, bit: int) -> Any:
        """Where a bit of a vector's bytes is set."""
        bits = self._builder.and_(some_bytes, self.constant_bytes(bit))
        return self._builder.icmp_unsigned("!=", bits, self.constant_bytes(0))

    def select(self, where: Any, a: Any, b: Any) -> Any:
        return self._builder.select(where, a, b)

    def _address(self, pointer: Any, offset: Index, kind: Any) -> Any:
        place = self._builder.gep(pointer, [offset.value])
        return self._builder.bitcast(place, kind.as_pointer())


class Variable:
    """A vector that can be set."""

    def __init__(self, builder: Any, place: Any) -> None:
        self._builder, self._place = builder, place

    def get(self) -> Any:
        return self._builder.load(self._place)

    def set(self, vector: Any) -> None:
        self._builder.store(vector, self._place)


class Program:
    """What is compiled together: a function over vectors of 32- or 64-bit numbers."""

    def __init__(self, machine: Machine, *, double: bool) -> None:
        self._machine = machine
        self.width = machine.vector_bytes // (8 if double else 4)
        self.bits = 64 if double else 32
        self.number = ir.DoubleType() if double else ir.FloatType()
        self.vector = ir.VectorType(self.number, self.width)
        self.module = ir.Module()
        self.multiply_add = self._intrinsic("fmuladd", self.vector, [self.vector] * 3)
        self.root = self._intrinsic("sqrt", self.vector, [self.vector])
        self.floor = self._intrinsic("floor", self.vector, [self.vector])
        self.reduce = self._intrinsic("vector.reduce.fadd", self.number, [self.number, self.vector])

    def _intrinsic(self, name: str, result: Any, arguments: Sequence[Any]) -> Any:
        """One of LLVM's own functions, for these vectors."""
        kind = ir.FunctionType(result, arguments)
        return ir.Function(self.module, kind, f"llvm.{name}.v{self.width}f{self.bits}")

    def compile(self, name: str, pointers: int, indices: int) -> Callable[..., None]:
        """One of its functions as machine code; Python's lock is released while it runs.

        Loops stay as they were written, whose author has counted registers.
        """
        module = binding.parse_assembly(str(self.module))
        module.verify()
        target = binding.Target.from_default_triple().create_target_machine(
            cpu=self._machine.name, features=self._machine.features, opt=2
        )
        options = binding.create_pipeline_tuning_options(speed_level=2)
        options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
        passes = binding.create_pass_builder(target, options)
        passes.getModulePassManager().run(module, passes)
        engine = binding.create_mcjit_compiler(module, target)
        engine.finalize_object()
        arguments = [ctypes.c_void_p] * pointers + [ctypes.c_int64] * indices
        function: Any = ctypes.CFUNCTYPE(None, *arguments)(engine.get_function_address(name))
        function.engine = engine  # the code lives as long as this
        compiled: Callable[..., None] = function
        return compiled
