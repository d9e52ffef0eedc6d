"""Lines that carry an idea, and what each becomes when the idea is taken out: at least one for each technique."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """`line` of `file` becomes `broken`; `tests` is the file that has to fail then. `technique` is what the line is the idea of:
    the keys of types of part between spaces, or the name of a module."""

    technique: str
    file: str
    line: str
    broken: str
    tests: str

    @property
    def techniques(self) -> list[str]:
        return self.technique.split()

    def applied(self, text: str) -> str:
        """`text` with the broken line.

        Raises:
            LookupError: the line is not there exactly once.
        """
        if text.count(self.line) != 1:
            raise LookupError(
                f"{self.technique}: {self.file} has {text.count(self.line)} times `{self.line}`, not once"
            )
        return text.replace(self.line, self.broken)


SETS, SEQ2SEQ, POINTER = "tests/models/test_sets.py", "tests/models/test_seq2seq.py", "tests/models/test_pointer.py"
COMPLETION = "tests/training/lists/test_completion.py"
ORDER, NAMES = "tests/service/test_list_order.py", "tests/retrieval/lists/test_name_neighbours.py"
MUTANTS = (
    Mutant(
        "set-process",
        "models/encoders/set_process.py",
        "scores = (memory @ query.unsqueeze(-1)).squeeze(-1)",
        "scores = 0 * (memory @ query.unsqueeze(-1)).squeeze(-1)",
        SETS,
    ),
    Mutant(
        "set-process",
        "models/encoders/set_process.py",
        "for _ in range(self.config.steps):",
        "for _ in range(min(1, self.config.steps)):",
        SETS,
    ),
    Mutant(
        "set-process",
        "models/encoders/set_process.py",
        "self.process(self.read_block(x), real)",
        "self.process(self.read_block(0 * x), real)",
        SETS,
    ),
    Mutant(
        "set-transformer",
        "models/encoders/set_transformer.py",
        "self.pool(self.seed.expand(len(x), -1, -1), x, real)",
        "self.pool(self.seed.expand(len(x), -1, -1), 0 * x, real)",
        SETS,
    ),
    Mutant(
        "set-transformer",
        "models/encoders/set_transformer.py",
        "self.inward(self.points.expand(len(x), -1, -1), x, real)",
        "self.inward(self.points.expand(len(x), -1, -1), 0 * x, real)",
        SETS,
    ),
    Mutant("set", "models/encoders/sets.py", "(x * weight).sum(dim=1) / weight", "x.sum(dim=1) / weight", SETS),
    Mutant(
        "playlist-seq2seq",
        "models/decoders/attentive.py",
        "[x, state.encoder_output.last_state[:, None]",
        "[x, 0 * state.encoder_output.last_state[:, None]",
        SEQ2SEQ,
    ),
    Mutant(
        "playlist-seq2seq",
        "models/decoders/attentive.py",
        "self.of_state(state)[:, None] + self.of_encoder(states)",
        "self.of_encoder(states)",
        SEQ2SEQ,
    ),
    Mutant(
        "pointer",
        "models/decoders/pointer.py",
        "states = states + self.project_glimpse(",
        "_ = self.project_glimpse(",
        POINTER,
    ),
    Mutant(
        "order-search",
        "models/objectives/order_search.py",
        "scores = (log_p.gather(1, targets) + gumbel)",
        "scores = (0 * log_p.gather(1, targets) + gumbel)",
        POINTER,
    ),
    Mutant(
        "order-search",
        "recsys/training/lists/pointer.py",
        "objective.search = search",
        "objective.search = False",
        COMPLETION,
    ),
    Mutant(
        "pointer",
        "recsys/training/lists/pointer.py",
        "return logits.masked_fill(written & ~current, torch.finfo(logits.dtype).min)",
        "return logits",
        COMPLETION,
    ),
    Mutant(
        "diverse-beam",
        "models/decoders/diverse_beam.py",
        "_counts(searched, length=length, vocabulary=vocabulary, overlap=overlap) * strength",
        "_counts(searched, length=length, vocabulary=vocabulary, overlap=overlap) * 0",
        "tests/models/test_decoders.py",
    ),
    Mutant(
        "diverse-beam",
        "models/decoders/diverse_beam.py",
        "without=(*constraints.without, beams.items[0])",
        "without=constraints.without",
        "tests/models/test_decoders.py",
    ),
    Mutant(
        "diverse-beam",
        "recsys/ranking/diversity.py",
        "if np.sort(positions).tobytes() not in excluded:",
        "if True:",
        "tests/ranking/test_diversity.py",
    ),
    Mutant(
        "item-text",
        "recsys/training/item_text/objective.py",
        'self.pairs if self.recipe.nesting == "fixed" else self._random_pairs(generator)',
        "self.pairs",
        "tests/training/item_text/test_train.py",
    ),
    Mutant(
        "contrastive",
        "models/objectives/contrastive.py",
        "teacher.detach()",
        "teacher",
        "tests/models/test_contrastive.py",
    ),
    Mutant(
        "experts",
        "models/feedforward/experts.py",
        "mixed = [self.experts[expert](piece)",
        "mixed = [self.experts[0](piece)",
        "tests/models/test_experts.py",
    ),
    Mutant("full", "models/mixers/full.py", "is_causal=True", "is_causal=False", "tests/models/test_mixers.py"),
    Mutant(
        "bidirectional",
        "models/mixers/bidirectional.py",
        "attn_mask=visible",
        "attn_mask=None",
        "tests/models/test_mixers.py",
    ),
    Mutant(
        "gbce",
        "models/objectives/gbce.py",
        "beta * logsigmoid(positive)",
        "logsigmoid(positive)",
        "tests/models/test_objectives.py",
    ),
    Mutant(
        "softmax",
        "models/objectives/softmax.py",
        "histories @ table[negatives].T - log_expected_count",
        "histories @ table[negatives].T",
        "tests/models/test_objectives.py",
    ),
    Mutant(
        "ease",
        "recsys/retrieval/ease.py",
        "gram[np.diag_indices_from(gram)] += config.ridge",
        "gram[np.diag_indices_from(gram)] += 1",
        "tests/retrieval/test_ease.py",
    ),
    Mutant(
        "als",
        "recsys/retrieval/factors.py",
        "(y.T * (confidence - 1)) @ y",
        "y.T @ y",
        "tests/retrieval/test_factors.py",
    ),
    Mutant(
        "markov",
        "recsys/retrieval/markov.py",
        "dataset.values[gap:][same] / gap",
        "dataset.values[gap:][same]",
        "tests/retrieval/test_markov.py",
    ),
    Mutant(
        "item-neighbours",
        "recsys/retrieval/neighbours.py",
        "counts[column]) + config.shrink)",
        "counts[column]))",
        "tests/retrieval/test_item_item.py",
    ),
    Mutant(
        "list-neighbours",
        "recsys/retrieval/lists/neighbours.py",
        "sp.diags_array(1 / np.maximum(lengths, 1e-9)) @ scaled",
        "scaled",
        "tests/retrieval/lists/test_neighbours.py",
    ),
    Mutant(
        "fusion",
        "recsys/training/lists/fusion.py",
        "if len(examples) < MIN_CASES:",
        "if not examples:",
        "tests/training/lists/test_fusion.py",
    ),
    Mutant(
        "fusion",
        "recsys/training/lists/fusion.py",
        "bootstrap(_gains_alone(examples, sources=sources)).low > 0",
        "True",
        "tests/training/lists/test_fusion.py",
    ),
    Mutant(
        "continuation",
        "recsys/service/playlists/service.py",
        'options.order or "sensitive", pipeline',
        '"sensitive", pipeline',
        ORDER,
    ),
    Mutant(
        "popular list-popular",
        "recsys/retrieval/popular.py",
        "np.bincount(dataset.rows[late], weights",
        "np.bincount(0 * dataset.rows[late], weights",
        "tests/retrieval/test_popular.py",
    ),
    Mutant(
        "recent",
        "recsys/retrieval/popular.py",
        "[: int(np.ceil(config.share * len(age)))]",
        "[: len(age)]",
        "tests/retrieval/test_popular.py",
    ),
    Mutant(
        "bpr",
        "recsys/retrieval/factors.py",
        'np.append(self.config["scale"] * mean, 1)',
        'np.append(self.config["scale"] * mean, 0)',
        "tests/retrieval/test_factors.py",
    ),
    Mutant(
        "personal",
        "recsys/retrieval/personal.py",
        "np.exp(-elapsed[:, None] / constants)",
        "np.exp(0 * elapsed[:, None] / constants)",
        "tests/retrieval/test_personal.py",
    ),
    Mutant(
        "text",
        "recsys/retrieval/text.py",
        "_unit((text - mean) @ whiten) * known",
        "_unit(text - mean) * known",
        "tests/retrieval/test_text.py",
    ),
    Mutant(
        "imputed",
        "recsys/retrieval/imputed.py",
        "weights @ self._speaking @ self.matrix @ self._answering",
        "weights @ self._speaking @ self._answering",
        "tests/retrieval/test_imputed.py",
    ),
    Mutant(
        "lexical",
        "recsys/retrieval/lexical.py",
        "unit_tfidf(bags, idf)), idf",
        "unit_tfidf(bags, idf > 0)), idf",
        "tests/retrieval/test_lexical.py",
    ),
    Mutant(
        "sasrec",
        "models/encoders/sequence.py",
        "x + self.position(when.order)",
        "x + 0 * self.position(when.order)",
        "tests/models/test_sequence.py",
    ),
    Mutant(
        "sasrec-text",
        "models/embeddings.py",
        "projected: Tensor = self.project(text)",
        "projected: Tensor = self.project(0 * text)",
        "tests/models/test_embeddings.py",
    ),
    Mutant(
        "sasrec-hybrid",
        "models/embeddings.py",
        "return torch.stack(parts).sum(0)",
        "return parts[0]",
        "tests/models/test_embeddings.py",
    ),
    Mutant(
        "list-markov",
        "recsys/training/lists/sources.py",
        "MarkovConfig(reach=5, decay=0.8, window=10)",
        "MarkovConfig(reach=5, decay=1.0, window=WHOLE_LIST)",
        ORDER,
    ),
    Mutant(
        "list-beside",
        "recsys/training/lists/sources.py",
        "MarkovConfig(reach=10, decay=1.0, window=WHOLE_LIST",
        "MarkovConfig(reach=10, decay=1.0, window=250",
        ORDER,
    ),
    Mutant(
        "list-item-neighbours",
        "recsys/training/lists/sources.py",
        "NeighboursConfig(decay=1.0, window=WHOLE_LIST)",
        "NeighboursConfig(decay=1.0, window=250)",
        ORDER,
    ),
    Mutant(
        "list-als",
        "recsys/training/lists/sources.py",
        "AlsConfig(factors=128, alpha=10.0, decay=1.0)",
        "AlsConfig(factors=128, alpha=10.0, decay=0.9)",
        ORDER,
    ),
    Mutant(
        "list-attributes",
        "recsys/retrieval/lists/attributes.py",
        "sp.csr_matrix(groups.T @ sp.diags_array(weights))",
        "sp.csr_matrix(groups.T)",
        "tests/retrieval/lists/test_attributes.py",
    ),
    Mutant(
        "list-names",
        "recsys/retrieval/lists/name_neighbours.py",
        "similarity = total / count",
        "similarity = 0 * total / count",
        NAMES,
    ),
    Mutant("list-spelt", "recsys/retrieval/lists/entity_names.py", "max(matches[i, value], share)", "1", NAMES),
    Mutant(
        "list-named",
        "recsys/retrieval/lists/name_blend.py",
        "self.config.spelt * self.entities",
        "0 * self.entities",
        NAMES,
    ),
    Mutant(
        "list-mean",
        "recsys/retrieval/lists/mean.py",
        "weights[columns] / counted",
        "weights[columns]",
        "tests/retrieval/lists/test_mean.py",
    ),
    Mutant(
        "list-weighted",
        "recsys/retrieval/lists/mean.py",
        "config.alpha / (config.alpha + share)",
        "np.ones(len(vectors))",
        "tests/retrieval/lists/test_mean.py",
    ),
    Mutant(
        "set",
        "models/encoders/sets.py",
        "nn.init.zeros_(feature.weight)",
        "nn.init.normal_(feature.weight)",
        SETS,
    ),
)
