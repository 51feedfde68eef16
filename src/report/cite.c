/* What the keys that methods cite stand for; paper/refs.bib has the same keys. */
#include <string.h>

#include "report/parts.h"
#include "result/store.h"

static const struct {
    const char *key, *text;
} reference[] = {
    {"frantar2023gptq", "Frantar, Ashkboos, Hoefler, Alistarh: GPTQ: Accurate Post-Training Quantization for "
                        "Generative Pre-trained Transformers. ICLR 2023. arXiv:2210.17323"},
    {"dettmers2023qlora", "Dettmers, Pagnoni, Holtzman, Zettlemoyer: QLoRA: Efficient Finetuning of Quantized LLMs. "
                          "NeurIPS 2023. arXiv:2305.14314"},
    {"badri2023hqq", "Badri, Shaji: Half-Quadratic Quantization of Large Machine Learning Models. 2023. "
                     "https://mobiusml.github.io/hqq_blog/"},
    {"sun2024wanda", "Sun, Liu, Bair, Kolter: A Simple and Effective Pruning Approach for Large Language Models. "
                     "ICLR 2024. arXiv:2306.11695"},
    {"ashkboos2024quarot", "Ashkboos, Mohtashami, Croci, Li, Cameron, Jaggi, Alistarh, Hoefler, Hensman: QuaRot: "
                           "Outlier-Free 4-Bit Inference in Rotated LLMs. NeurIPS 2024. arXiv:2404.00456"},
    {"xiao2023smoothquant", "Xiao, Lin, Seznec, Wu, Demouth, Han: SmoothQuant: Accurate and Efficient Post-Training "
                            "Quantization for Large Language Models. ICML 2023. arXiv:2211.10438"},
    {"zhang2024lqer", "Zhang, Cheng, Constantinides, Zhao: LQER: Low-Rank Quantization Error Reconstruction for LLMs. "
                      "ICML 2024. arXiv:2402.02446"},
    {"cheng2024signround",
     "Cheng, Zhang, Shen, Cai, He, Lv, Liu: Optimize Weight Rounding via Signed Gradient Descent for "
     "the Quantization of LLMs. Findings of EMNLP 2024. arXiv:2309.05516"},
    {"jacob2018quantization", "Jacob et al.: Quantization and Training of Neural Networks for Efficient "
                              "Integer-Arithmetic-Only Inference. CVPR 2018. arXiv:1712.05877"},
    {"bengio2013estimating", "Bengio, L\xc3\xa9onard, Courville: Estimating or Propagating Gradients Through "
                             "Stochastic Neurons for Conditional Computation. 2013. arXiv:1308.3432"},
    {"esser2020lsq", "Esser, McKinstry, Bablani, Appuswamy, Modha: Learned Step Size Quantization. ICLR 2020. "
                     "arXiv:1902.08153"},
    {"loshchilov2019adamw", "Loshchilov, Hutter: Decoupled Weight Decay Regularization. ICLR 2019. arXiv:1711.05101"},
    {"lin2024awq", "Lin et al.: AWQ: Activation-aware Weight Quantization for On-Device LLM Compression and "
                   "Acceleration. MLSys 2024. arXiv:2306.00978"},
    {"merity2017pointer", "Merity, Xiong, Bradbury, Socher: Pointer Sentinel Mixture Models (WikiText). ICLR 2017. "
                          "arXiv:1609.07843"},
    {"su2024roformer", "Su et al.: RoFormer: Enhanced Transformer with Rotary Position Embedding. Neurocomputing 568, "
                       "2024. arXiv:2104.09864"},
    {"zhang2019rmsnorm", "Zhang, Sennrich: Root Mean Square Layer Normalization. NeurIPS 2019. arXiv:1910.07467"},
    {"shazeer2020glu", "Shazeer: GLU Variants Improve Transformer (SwiGLU). 2020. arXiv:2002.05202"},
    {"touvron2023llama", "Touvron et al.: LLaMA: Open and Efficient Foundation Language Models. 2023. "
                         "arXiv:2302.13971"},
    {"allal2025smollm2", "Ben Allal et al.: SmolLM2: When Smol Goes Big: Data-Centric Training of a Small Language "
                         "Model. 2025. arXiv:2502.02737"},
    {"kunsch1989jackknife", "K\xc3\xbcnsch: The Jackknife and the Bootstrap for General Stationary Observations. "
                            "Annals of Statistics 17(3), 1989"},
};

const char *lb_report_reference(const char *key) {
    for (size_t i = 0; i < sizeof reference / sizeof reference[0]; i++)
        if (strcmp(reference[i].key, key) == 0) return reference[i].text;
    return NULL;
}

const char *lb_report_reference_key(size_t i) {
    return i < sizeof reference / sizeof reference[0] ? reference[i].key : NULL;
}

/* The keys of all done cells, each once; and the bootstrap's, where there is an interval. */
lb_status lb_report_cited(const lb_report_view *v, const char ***key, size_t *n) {
    int64_t most = 1;
    for (int64_t i = 0; i < v->r->n; i++) most += v->r->record[i].cites;
    const char **at = LB_NEW(v->arena, const char *, most);
    if (!at) return LB_E_NOMEM;
    size_t count = 0;
    bool interval = false;
    for (int64_t i = 0; i < v->r->n; i++) {
        const lb_record *c = &v->r->record[i];
        for (int64_t e = 0; e < c->evals; e++) interval |= c->eval[e].has_paired;
        for (int64_t k = 0; k < c->cites; k++) {
            size_t x = 0;
            while (x < count && strcmp(at[x], c->cite[k]) != 0) x++;
            if (x == count) at[count++] = c->cite[k];
        }
    }
    if (interval) at[count++] = "kunsch1989jackknife";
    *key = at, *n = count;
    return LB_OK;
}

lb_status lb_report_citations(const lb_report_view *v, lb_table_format f, lb_str *out) {
    const char **key;
    size_t n;
    LB_TRY(lb_report_cited(v, &key, &n));
    const char **item = LB_NEW(v->arena, const char *, n + 1);
    if (!item) return LB_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *text = lb_report_reference(key[i]);
        item[i] = text ? lb_arena_printf(v->arena, "%s: %s", key[i], text) : key[i];
        if (!item[i]) return LB_E_NOMEM;
    }
    if (f == LB_TABLE_LATEX) {
        /* The bibliography itself comes from paper/refs.bib. */
        for (size_t i = 0; i < n; i++)
            if (lb_store_is_citation(key[i])) lb_str_add(out, "\\nocite{%s}\n", key[i]);
        return lb_str_check(out);
    }
    lb_markup_list(out, f, item, n);
    return lb_str_check(out);
}
