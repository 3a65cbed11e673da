package diag

// Code is a stable identifier such as S2C0201. Codes are never reused.
type Code string

// Files: S2C00xx.
const (
	CannotRead   Code = "S2C0001"
	FileTooLarge Code = "S2C0002"
	NotText      Code = "S2C0003"
	TooMany      Code = "S2C0004"
)

// Text: S2C01xx.
const (
	BadCharacter Code = "S2C0101"
	Unterminated Code = "S2C0102"
	Syntax       Code = "S2C0103"
	Brackets     Code = "S2C0104"
	TooDeep      Code = "S2C0105"
	HugeNumber   Code = "S2C0106"
)

// Names: S2C02xx.
const (
	UndefinedName  Code = "S2C0201"
	Duplicate      Code = "S2C0202"
	ReservedName   Code = "S2C0203"
	UnknownPattern Code = "S2C0204"
	WrongArguments Code = "S2C0205"
	Recursion      Code = "S2C0206"
	Cycle          Code = "S2C0207"
	ImportCycle    Code = "S2C0208"
	NotInImport    Code = "S2C0209"
	UnknownDefine  Code = "S2C0210"
	HeadNotInScope Code = "S2C0211"
	OutsideWhere   Code = "S2C0212"
)

// Types and values: S2C03xx.
const (
	TypeMismatch    Code = "S2C0301"
	Overflow        Code = "S2C0302"
	DivideByZero    Code = "S2C0303"
	OutOfRange      Code = "S2C0304"
	IndexOutOfRange Code = "S2C0305"
	ReversedRange   Code = "S2C0306"
	WhereLimit      Code = "S2C0307"
	PatternTooLarge Code = "S2C0308"
)

// Model: S2C040x to S2C044x. Rules: S2C045x and on.
const (
	NoModel         Code = "S2C0401"
	MissingField    Code = "S2C0402"
	UnknownField    Code = "S2C0403"
	BadField        Code = "S2C0404"
	NoDirection     Code = "S2C0405"
	HeadsNotDivided Code = "S2C0406"
	BadActiveHeads  Code = "S2C0407"

	LayerWithoutRule Code = "S2C0450"
	HeadWithoutRule  Code = "S2C0451"
	NoSuchHead       Code = "S2C0452"
	NoSuchLayer      Code = "S2C0453"
	UnusedRule       Code = "S2C0454"
	IdlePart         Code = "S2C0455"
)

// Require clauses: S2C05xx. S2C0501 to S2C0510 say how a clause is written;
// the others are decided on the closed form.
const (
	UnknownProperty Code = "S2C0501"
	BadRequire      Code = "S2C0502"

	EmptyRow       Code = "S2C0520"
	NotCovered     Code = "S2C0521"
	NotKVEfficient Code = "S2C0522"
	DensityFails   Code = "S2C0523"
	KVKeptFails    Code = "S2C0524"
	SpeedupFails   Code = "S2C0525"
	NotClosedForm  Code = "S2C0526"
	NoClosedForm   Code = "S2C0527"
)
