package broken

func harmlessVariants() []variant { return nil }
