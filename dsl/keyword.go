package dsl

// keyword is a word that can be no name.
type keyword struct{ name, usage, doc string }

// keywordList is in the order of the documentation, which is made from it.
var keywordList = []keyword{
	{"import", `import "lib.s2"`, "makes the parameters and patterns of another file known"},
	{"model", "model name { field value … }", "the shape of the model; a file has one"},
	{"param", "param name = value, …", "names values that `-D name=value` can change"},
	{"pattern", "pattern name(parameters) = set", "names a set of pairs of a query block and a key block"},
	{"layer", "layer 0..3, 8 -> set", "gives the heads of layers their patterns; the first rule that fits wins"},
	{"require", "require property, … on layer even", "states what must be true; compiling fails where it is not"},
	{"causal", "model { … causal }", "query block i sees key blocks j ≤ i, and in the diagonal block the tokens up to its own"},
	{"bidirectional", "model { … bidirectional }", "every query sees every key that the pattern names"},
	{"head", "layer * -> head 0..7: set, set", "gives some query heads their pattern"},
	{"kv_head", "layer * -> kv_head 0: set, set", "gives the query heads of some KV heads their pattern"},
	{"even", "layer even", "picks the numbers 0, 2, 4, …"},
	{"odd", "layer odd", "picks the numbers 1, 3, 5, …"},
	{"every", "every n from m, on every layer", "picks every n-th number; with `on`, every layer"},
	{"from", "every 4 from 1", "says which number is the first; 0 where it is left out"},
	{"on", "require … on layer even", "says for which layers a property is required; all of them where it is left out"},
	{"at", "require density < 0.2 at 32768", "says at how many tokens a property is required; at every length where it is left out"},
	{"if", "if c then a else b", "a where the condition holds, else b; in brackets inside of a larger expression"},
	{"then", "if c then a else b", "what holds with the condition"},
	{"else", "if c then a else b, for rows { …; else: set }", "what holds otherwise: without the condition, or for the query blocks that no other range names"},
	{"for", "for rows { 0..15: set; 16..: set }", "a set for each range of query blocks"},
	{"blocks", "blocks { (rows, columns), … }", "a list of rectangles of blocks, ends included; it becomes a table"},
	{"and", "a and b", "both; the right side is looked at only if the left is true"},
	{"or", "a or b", "either; the right side is looked at only if the left is false"},
	{"not", "not a", "negation of a condition"},
	{"mod", "a mod b", "Euclidean remainder, never negative"},
	{"true", "true", "the condition that holds"},
	{"false", "false", "the condition that does not hold"},
}

// keywords are the names of keywordList.
var keywords = func() map[string]bool {
	m := make(map[string]bool, len(keywordList))
	for _, k := range keywordList {
		m[k.name] = true
	}
	return m
}()
