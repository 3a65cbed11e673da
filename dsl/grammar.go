package dsl

import (
	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The types below are the grammar: participle derives the parser, and the
// grammar section of the language's documentation, from their tags. Operators
// form a flat list here; precedence is applied when the syntax tree is built.

type file struct {
	Decls []*decl `parser:"@@*"`
}

type decl struct {
	Tokens  []lexer.Token
	Import  *importDecl  `parser:"@@"`
	Model   *modelDecl   `parser:"| @@"`
	Param   *paramDecl   `parser:"| @@"`
	Pattern *patternDecl `parser:"| @@"`
	Layer   *layerDecl   `parser:"| @@"`
	Require *requireDecl `parser:"| @@"`
}

type importDecl struct {
	Path word `parser:"'import' @@"`
}

// word is a single string token with its place.
type word struct {
	Tokens []lexer.Token
	Text   string `parser:"@String"`
}

// ident is a single name with its place.
type ident struct {
	Tokens []lexer.Token
	Text   string `parser:"@Ident"`
}

type modelDecl struct {
	Name   *ident   `parser:"'model' @@?"`
	Fields []*field `parser:"'{' @@* '}'"`
}

type field struct {
	Tokens []lexer.Token
	Flag   string   `parser:"( @( 'causal' | 'bidirectional' )"`
	Name   *ident   `parser:"| @@"`
	Value  *rangeOf `parser:"@@ ) ','?"`
}

type paramDecl struct {
	Bindings []*binding `parser:"'param' @@ ( ',' @@ )*"`
}

type binding struct {
	Name  ident    `parser:"@@"`
	Value operands `parser:"'=' @@"`
}

type patternDecl struct {
	Name    ident     `parser:"'pattern' @@"`
	Formals []*formal `parser:"( '(' ( @@ ( ',' @@ )* )? ')' )?"`
	Body    operands  `parser:"'=' @@"`
}

type formal struct {
	Name    ident     `parser:"@@"`
	Default *operands `parser:"( '=' @@ )?"`
}

type layerDecl struct {
	Tokens []lexer.Token
	Layers *selector   `parser:"'layer' @@"`
	Rules  []*ruleDecl `parser:"'->' @@ ( ',' @@ )*"`
}

type ruleDecl struct {
	Tokens []lexer.Token
	Kind   string    `parser:"( @( 'head' | 'kv_head' )"`
	Heads  *selector `parser:"@@ ':' )?"`
	Body   operands  `parser:"@@"`
}

type selector struct {
	Tokens []lexer.Token
	Items  []*selection `parser:"@@ ( ',' @@ )*"`
}

type selection struct {
	Tokens []lexer.Token
	Word   string    `parser:"@( '*' | 'even' | 'odd' )"`
	Every  *operands `parser:"| 'every' @@"`
	From   *operands `parser:"( 'from' @@ )?"`
	Range  *rangeOf  `parser:"| @@"`
}

type rangeOf struct {
	Tokens []lexer.Token
	Low    operands  `parser:"@@"`
	Dots   string    `parser:"( @'..'"`
	High   *operands `parser:"@@? )?"`
}

type requireDecl struct {
	Clauses []*clause `parser:"'require' @@ ( ',' @@ )*"`
	Every   string    `parser:"( 'on' ( @'every' 'layer'"`
	Layers  *selector `parser:"| 'layer' @@ ) )?"`
}

type clause struct {
	Tokens []lexer.Token
	Name   ident     `parser:"@@"`
	Op     string    `parser:"( @( '<=' | '>=' | '<' | '>' )"`
	Bound  *operands `parser:"@@ )?"`
	At     *operands `parser:"( 'at' @@ )?"`
}

type operands struct {
	Tokens []lexer.Token
	If     *conditional `parser:"@@"`
	First  *operand     `parser:"| @@"`
	Rest   []*operation `parser:"@@*"`
}

type conditional struct {
	If   operands `parser:"'if' @@"`
	Then operands `parser:"'then' @@"`
	Else operands `parser:"'else' @@"`
}

type operation struct {
	Op      operator `parser:"@@"`
	Operand operand  `parser:"@@"`
}

type operator struct {
	Tokens []lexer.Token
	Text   string `parser:"@( '|' | '&' | '+' | '-' | '*' | '/' | 'mod' | '==' | '!=' | '<=' | '>=' | '<' | '>' | 'and' | 'or' )"`
}

type operand struct {
	Prefix []prefix `parser:"@@*"`
	Atom   atom     `parser:"@@"`
}

type prefix struct {
	Tokens []lexer.Token
	Text   string `parser:"@( '-' | '+' | 'not' )"`
}

type atom struct {
	Tokens []lexer.Token
	Float  string      `parser:"@Float"`
	Int    string      `parser:"| @Int"`
	Bool   string      `parser:"| @( 'true' | 'false' )"`
	Paren  *operands   `parser:"| '(' @@ ')'"`
	List   *list       `parser:"| @@"`
	Rows   *rowSwitch  `parser:"| @@"`
	Blocks *blockItems `parser:"| @@"`
	Ref    *reference  `parser:"| @@"`
}

type list struct {
	Items []*operands `parser:"'[' ( @@ ( ',' @@ )* )? ']'"`
	Index *operands   `parser:"( '[' @@ ']' )?"`
}

type rowSwitch struct {
	Rows ident  `parser:"'for' @@"`
	Arms []*arm `parser:"'{' @@ ( ';' @@ )* ';'? '}'"`
}

type arm struct {
	Tokens []lexer.Token
	Else   string     `parser:"( @'else'"`
	Ranges []*rangeOf `parser:"| @@ ( ',' @@ )* )"`
	Body   operands   `parser:"':' @@"`
}

type blockItems struct {
	Items []*rectangle `parser:"'blocks' '{' ( @@ ( ',' @@ )* ','? )? '}'"`
}

type rectangle struct {
	Tokens []lexer.Token
	Rows   rangeOf `parser:"'(' @@"`
	Cols   rangeOf `parser:"',' @@ ')'"`
}

type reference struct {
	Name  ident     `parser:"@@"`
	Call  *callArgs `parser:"( @@ )?"`
	Index *operands `parser:"( '[' @@ ']' )?"`
}

type callArgs struct {
	Args []*argument `parser:"'(' ( @@ ( ',' @@ )* )? ')'"`
}

type argument struct {
	Tokens []lexer.Token
	Name   *ident  `parser:"( @@ ':' )?"`
	Value  rangeOf `parser:"@@"`
}

var (
	fileParser  = participle.MustBuild[file](participle.Lexer(definition{}), participle.UseLookahead(2))
	rangeParser = participle.MustBuild[rangeOf](participle.Lexer(definition{}), participle.UseLookahead(2))
)
