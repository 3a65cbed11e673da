package diag

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/s2attention/s2c/limit"
)

// Info documents a code.
type Info struct {
	Code  Code
	Title string // one line
	Why   string // what it means and what to do
	// Example is a file that gives this diagnostic.
	Example string
	// Files are what the example imports, Defines its -D values.
	Files   map[string]string
	Defines map[string]string
	// Described says what the example is where its text is not worth printing.
	Described string
	// Proof says that the closed form decides it: reading the file succeeds.
	Proof bool
}

// Lookup finds a code's documentation.
func Lookup(code Code) (Info, bool) {
	i := slices.IndexFunc(table, func(i Info) bool { return i.Code == code })
	if i < 0 {
		return Info{}, false
	}
	return table[i], true
}

// Table is the documentation of every code, in order.
func Table() []Info { return slices.Clone(table) }

const shape = "model m { heads 4 kv_heads 2 head_dim 64 block 64 dtype bf16 causal }\n"

var table = []Info{
	{Code: CannotRead, Title: "a file cannot be read",
		Why:     "The file, or one that it imports, does not exist, is a directory, may not be read, or is one of too many (64). Imports are relative to the importing file.",
		Example: "import \"missing.s2\"\n" + shape + "layer * -> dense\n"},
	{Code: FileTooLarge, Title: "a file is too large",
		Why:     "A .s2 file has at most 1 MiB. Move patterns into files of their own and import them; a list of blocks this long belongs into a rule.",
		Example: strings.Repeat("// a comment that repeats itself\n", 1<<15+1), Described: "a file of more than 1 MiB"},
	{Code: NotText, Title: "a file is not text",
		Why:     "A .s2 file is UTF-8 text without NUL bytes. Usually another kind of file was named by mistake.",
		Example: "\x7fELF\x02\x01\x01\x00", Described: "a binary file"},
	{Code: TooMany, Title: "too many errors",
		Why:     "Only the first 100 errors and warnings are shown. Correct those first.",
		Example: shape + strings.Repeat("param p = q, p = q\nparam r = \n", 80) + "layer * -> dense\n", Described: "a file with hundreds of errors"},

	{Code: BadCharacter, Title: "a character or word that the language does not have",
		Why:     "Set algebra is written with | & -, the remainder with `mod`, negation with `not`, comments with //. Names begin with a letter. Whole numbers may end in K or M, for 2^10 or 2^20. A byte order mark may stand at the very start of a file alone.",
		Example: shape + "param p = 7 % 2\nlayer * -> dense\n"},
	{Code: Unterminated, Title: "a comment or text that never ends",
		Why:     "Close /* with */ and close a text with \" on the line where it begins.",
		Example: shape + "layer * -> dense /* and that is all\n"},
	{Code: Syntax, Title: "a syntax error",
		Why:     "The declaration is not of the form that the grammar asks for. One such error is reported for each declaration; the others are checked nevertheless.",
		Example: shape + "layer * dense\n"},
	{Code: Brackets, Title: "a bracket without its partner",
		Why:     "Each ( [ { needs its ) ] } within the same declaration.",
		Example: shape + "layer * -> window(4\n"},
	{Code: TooDeep, Title: "nested too deeply, or too long",
		Why:       "At most 64 brackets within brackets, 256 conditionals and 65536 words, numbers and signs in a declaration, 16 prefix operators in a row and 2000 operators without brackets. Name parts with `param` and `pattern`.",
		Example:   shape + "layer * -> " + strings.Repeat("(", 100) + "dense" + strings.Repeat(")", 100) + "\n",
		Described: "a pattern in a hundred brackets"},
	{Code: HugeNumber, Title: "a number that does not fit",
		Why:     "Integers have 64 bits, real numbers are those of IEEE 754 double precision.",
		Example: shape + "param p = 99999999999999999999\nlayer * -> dense\n"},

	{Code: UndefinedName, Title: "a name that is not defined",
		Why:     "It is no parameter, pattern or model field, here or in an imported file.",
		Example: shape + "param local = 4\nlayer * -> window(loca)\n"},
	{Code: Duplicate, Title: "declared twice",
		Why:     "Parameters and patterns share one name space, imported ones included. A model sets each field once and is either causal or bidirectional; a file has one model.",
		Example: shape + "param p = 1\npattern p = dense\nlayer * -> dense\n"},
	{Code: ReservedName, Title: "a name that the language uses itself",
		Why:     "Model fields, h, g, kv, i, j, dense, empty and group mean something everywhere, and a pattern cannot be called like a function of the language.",
		Example: shape + "param heads = 8\nlayer * -> dense\n"},
	{Code: UnknownPattern, Title: "no such pattern or function",
		Why:     "What is called is neither a pattern of the program nor a function of the language.",
		Example: shape + "layer * -> windw(4)\n"},
	{Code: WrongArguments, Title: "arguments that do not fit",
		Why:     "An argument is missing, given twice, or has a name that the pattern does not know. Positional arguments fill the parameters other than h, g and kv, which come from the head unless they are given by name.",
		Example: shape + "pattern p(h, n) = window(n)\nlayer * -> p(4, 5)\n"},
	{Code: Recursion, Title: "a pattern that calls itself",
		Why:     "Patterns are expanded, so they cannot be recursive, directly or through others.",
		Example: shape + "pattern p = window(1) | q\npattern q = p\nlayer * -> p\n"},
	{Code: Cycle, Title: "a value defined in terms of itself",
		Why:     "Parameters and model fields may refer to each other in any order, but not in a circle.",
		Example: shape + "param a = b + 1, b = a\nlayer * -> window(a)\n"},
	{Code: ImportCycle, Title: "files that import each other",
		Why:     "Move what both need into a third file.",
		Example: "import \"a.s2\"\n" + shape + "layer * -> dense\n",
		Files:   map[string]string{"a.s2": "import \"b.s2\"\n", "b.s2": "import \"a.s2\"\n"}},
	{Code: NotInImport, Title: "a declaration that a library cannot hold",
		Why:     "Imported files hold parameters and patterns (and imports). The model, its rules and its require clauses stand in the main file.",
		Example: "import \"lib.s2\"\n" + shape + "layer * -> p\n",
		Files:   map[string]string{"lib.s2": "pattern p = dense\nlayer 0 -> p\n"}},
	{Code: UnknownDefine, Title: "a define that sets nothing",
		Why:     "-D name=value overrides a parameter of the program or a field of its model; there is none of this name.",
		Example: shape + "param stride = 8\nlayer * -> window(4) | stride(stride)\n", Defines: map[string]string{"strid": "16"}},
	{Code: HeadNotInScope, Title: "h, g or kv where no head is known",
		Why:     "A pattern that depends on the head says so in its parameters. Parameters and model fields are the same for all heads.",
		Example: shape + "pattern p = stride(4, phase: -h) | window(1)\nlayer * -> p\n"},
	{Code: OutsideWhere, Title: "i or j outside of where",
		Why:     "Patterns are sets; only the condition of where(…) speaks of single blocks. Lists are constants there too.",
		Example: shape + "layer * -> window(i)\n"},

	{Code: TypeMismatch, Title: "a value of the wrong kind",
		Why:     "Integers, conditions, lists, real numbers and sets of blocks do not mix. Real numbers occur only in the model's scale and in the bounds of require.",
		Example: shape + "layer * -> window(4) | 3\n"},
	{Code: Overflow, Title: "integer overflow",
		Why:     "Integers have 64 bits and never wrap around.",
		Example: shape + "param p = 9223372036854775807 + 1\nlayer * -> window(p)\n"},
	{Code: DivideByZero, Title: "division by zero",
		Why:     "The divisor of / or mod is zero, in a condition of where(…) at the pair named.",
		Example: shape + "layer * -> stride(4, phase: 8 / (kv_heads - 2))\n"},
	{Code: OutOfRange, Title: "a number out of range",
		Why:     fmt.Sprintf("Windows and strides are at least 1, block numbers at least 0, all at most %d. They count blocks, not tokens.", limit.Number),
		Example: shape + "layer * -> window(0)\n"},
	{Code: IndexOutOfRange, Title: "an index outside of a list",
		Why:     "A list indexed by the head needs an element for each head; wrap around with `mod len(list)`.",
		Example: shape + "param phase = [0, 1, 2]\nlayer * -> window(1) | stride(3, phase: phase[h])\n"},
	{Code: ReversedRange, Title: "a range that runs backwards",
		Why:     "a..b includes both ends, so b is at least a.",
		Example: shape + "layer * -> window(1) | columns(4..2)\n"},
	{Code: WhereLimit, Title: "a greatest length that where cannot have",
		Why:     "where(…) becomes a table, so it declares the greatest length with max: in tokens, a multiple of the block size, at most " + strconv.Itoa(limit.WhereBlocks) + " blocks.",
		Example: shape + "layer * -> where(j <= i, max: 1000)\n"},
	{Code: PatternTooLarge, Title: "a pattern that is too large",
		Why: fmt.Sprintf("The resolved pattern of a head has at most %d parts, resolving all heads takes at most %d steps, and the conditions of where(…) take at most %d at all pairs of all heads and layers together. Write irregular parts as one blocks { … } list; use fewer heads, layers or nested calls, a lower max or a shorter condition.",
			limit.Parts, limit.Steps, limit.WhereSteps),
		Example: shape + doubling(14) + "layer * -> p14\n", Described: "patterns that each use the one before twice, fourteen times over"},

	{Code: NoModel, Title: "no model",
		Why:     "The main file declares the model's shape: model name { heads … head_dim … causal }.",
		Example: "layer * -> dense\n"},
	{Code: MissingField, Title: "a model without a field it needs",
		Why:     "heads and head_dim have no default.",
		Example: "model m { heads 4 causal }\nlayer * -> dense\n"},
	{Code: UnknownField, Title: "a field that models do not have",
		Why:     "The fields are heads, kv_heads, head_dim, block, layers, dtype, causal, bidirectional, scale and active_heads.",
		Example: "model m { heads 4 head_dim 64 blocksize 64 causal }\nlayer * -> dense\n"},
	{Code: BadField, Title: "a value that a field cannot have",
		Why: fmt.Sprintf("head_dim is a multiple of 8 up to %d; block is 16, 32, 64 or 128; dtype is bf16 or f16; heads at most %d; layers at most %d; scale is %s.",
			limit.HeadDim, limit.Heads, limit.Layers, limit.Scale),
		Example: "model m { heads 4 head_dim 60 causal }\nlayer * -> dense\n"},
	{Code: NoDirection, Title: "neither causal nor bidirectional",
		Why:     "Whether later keys are hidden is too important for a default.",
		Example: "model m { heads 4 head_dim 64 }\nlayer * -> dense\n"},
	{Code: HeadsNotDivided, Title: "KV heads that do not divide the query heads",
		Why:     "Each KV head serves the same number of query heads.",
		Example: "model m { heads 32 kv_heads 6 head_dim 64 causal }\nlayer * -> dense\n"},
	{Code: BadActiveHeads, Title: "a slice of heads that cannot be",
		Why:     "active_heads first..last is within the model's heads and holds whole KV groups, or a part of a single one.",
		Example: "model m { heads 8 kv_heads 2 head_dim 64 causal active_heads 2..5 }\nlayer * -> dense\n"},
	{Code: LayerWithoutRule, Title: "a layer without a rule",
		Why:     "Every layer has a rule for each of its heads. End with a rule for the rest, such as layer * -> dense.",
		Example: "model m { heads 4 head_dim 64 causal layers 8 }\nlayer 0..5 -> dense\n"},
	{Code: HeadWithoutRule, Title: "a head without a rule",
		Why:     "The rules for a layer, taken together, leave heads out. A last rule without `head` takes the rest.",
		Example: shape + "layer * -> head 0..2: dense\n"},
	{Code: NoSuchHead, Title: "a rule for a head that does not exist",
		Why:     "Heads are numbered from 0. Where the number of heads is overridden with -D, rules for missing heads are ignored instead.",
		Example: shape + "layer * -> head 0..4: dense\n"},
	{Code: NoSuchLayer, Title: "a layer that does not exist",
		Why:     "Layers are numbered from 0. Where `layers` is overridden with -D, rules for missing layers are ignored instead.",
		Example: "model m { heads 4 head_dim 64 causal layers 4 }\nlayer * -> dense\nrequire coverage on layer 4\n"},
	{Code: UnusedRule, Title: "a rule that never applies (warning)",
		Why:     "The first rule that fits a layer and a head wins, and earlier ones take all that this one names.",
		Example: shape + "layer * -> dense\nlayer 0 -> window(4)\n"},
	{Code: IdlePart, Title: "a part of a pattern that attends or adds nothing (warning)", Proof: true,
		Why: "In every head and layer that it is for, a part of the union attends no key block, or only key blocks that the other parts attend as well. " +
			"It is proved for every length. In a causal model `rows` and everything else ends at the query's own block: rows(0..1) does not let the first blocks see each other, for which the model must be bidirectional.",
		Example: shape + "layer * -> rows(0..1) | window(4000)\n"},

	{Code: UnknownProperty, Title: "a property that require does not know",
		Why:     "The properties are coverage, kv_efficient, non_empty, closed_form, density, kv_kept and speedup.",
		Example: shape + "layer * -> dense\nrequire covrage\n"},
	{Code: BadRequire, Title: "a require clause that is not complete",
		Why:     "density, kv_kept and speedup are compared with a bound at a length: density < 0.2 at 32768. The others hold or do not.",
		Example: shape + "layer * -> dense\nrequire density < 0.2\n"},

	{Code: EmptyRow, Title: "a query block that attends nothing", Proof: true,
		Why:     "Softmax over nothing has no value. Add what every row has, such as window(1).",
		Example: shape + "layer * -> columns(4..)\n"},
	{Code: NotCovered, Title: "coverage fails", Proof: true,
		Why:     "Some key block is attended by no head of the layer. The message names a pair (query block, key block).",
		Example: shape + "layer * -> window(4) | sink(1)\nrequire coverage\n"},
	{Code: NotKVEfficient, Title: "KV efficiency fails", Proof: true,
		Why:     "A key block drops out of a KV head and comes back later, so its keys and values cannot be evicted. The message names the first offender.",
		Example: shape + "layer * -> dilated(4)\nrequire kv_efficient\n"},
	{Code: DensityFails, Title: "a bound on density fails", Proof: true,
		Why:     "The message gives the density at the length asked for.",
		Example: shape + "layer * -> dense\nrequire density < 0.5 at 4096\n"},
	{Code: KVKeptFails, Title: "a bound on the KV kept fails", Proof: true,
		Why:     "The message gives the share of key blocks that later queries may still read.",
		Example: shape + "layer * -> dense\nrequire kv_kept < 0.5 at 4096\n"},
	{Code: SpeedupFails, Title: "a bound on the ideal speed-up fails", Proof: true,
		Why:     "The message gives the number of dense pairs over attended ones.",
		Example: shape + "layer * -> dense\nrequire speedup > 2 at 4096\n"},
	{Code: NotClosedForm, Title: "a pattern needs a table", Proof: true,
		Why:     "where(…) and irregular lists of blocks become tables; everything else has a closed form.",
		Example: shape + "layer * -> window(1) | where(j * j == i, max: 4096)\nrequire closed_form\n"},
	{Code: NoClosedForm, Title: "a pattern whose closed form is too large", Proof: true,
		Why:     "Strides that meet give the least common multiple of their steps; it, or the number of pieces, is beyond what a kernel can hold. Use strides with common factors.",
		Example: shape + "layer * -> window(1) | stride(1009) & dilated(1013) & stride(1019)\n"},
}

// doubling is patterns p0 … pn of size 2^n.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString("pattern p0 = window(1)\n")
	for i := 1; i <= n; i++ {
		p, q := numeral("p", i), numeral("p", i-1)
		b.WriteString("pattern " + p + " = " + q + " | " + q + "\n")
	}
	return b.String()
}

func numeral(prefix string, n int) string {
	if n < 10 {
		return prefix + string(rune('0'+n))
	}
	return numeral(prefix, n/10) + string(rune('0'+n%10))
}
