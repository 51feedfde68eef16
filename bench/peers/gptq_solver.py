"""GPTQ of one layer in PyTorch, float32, with the semantics of the authors' code: asymmetric min-max grid, groups fitted as of the last
block's end or all before solving (static), columns in their order or by descending diag H (act-order), damping as a part of mean(diag H),
blocks of 128 columns. Written for the benchmarks; shares no code with Lowbit. check_solver.py compares it with the tests' fixtures."""
import torch


def fit_grid(x, maxq):
    """Scale and zero (rows, 1) of the range of each row of x, widened to contain 0."""
    low, high = x.amin(1, keepdim=True).clamp(max=0), x.amax(1, keepdim=True).clamp(min=0)
    empty = (low == 0) & (high == 0)
    low, high = torch.where(empty, -torch.ones_like(low), low), torch.where(empty, torch.ones_like(high), high)
    scale = (high - low) / maxq
    return scale, torch.round(-low / scale)


def to_grid(x, scale, zero, maxq):
    return scale * (torch.clamp(torch.round(x / scale) + zero, 0, maxq) - zero)


def inverse_factor(H, percdamp):
    """Upper Cholesky factor of the inverse of the damped H, which is changed."""
    H.diagonal().add_(percdamp * H.diagonal().mean())
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(H)), upper=True)


def solve(W, H, bits, group=None, act_order=False, static_groups=False, percdamp=0.01, block=128):
    """W (out, in) and H (in, in) in the authors' scale, float32; the dequantized result (out, in). group: columns, None: a row.

    act_order without static_groups: groups are runs of the columns in solving order.
    """
    W, H, maxq, columns = W.clone(), H.clone(), 2**bits - 1, W.shape[1]
    if group is None:
        scale, zero = fit_grid(W, maxq)
    dead = H.diagonal() == 0
    H.diagonal()[dead] = 1
    W[:, dead] = 0
    static = [fit_grid(W[:, c : c + group], maxq) for c in range(0, columns, group)] if static_groups else None
    order = list(range(columns))
    if act_order:
        by_size = torch.argsort(H.diagonal(), descending=True, stable=True)
        W, H, order = W[:, by_size], H[by_size][:, by_size], by_size.tolist()
    U = inverse_factor(H, percdamp)
    Q = torch.empty_like(W)
    for b0 in range(0, columns, block):
        b1 = min(b0 + block, columns)
        w, errors, u = W[:, b0:b1].clone(), torch.empty_like(W[:, b0:b1]), U[b0:b1, b0:b1]
        for i in range(b1 - b0):
            if static:
                scale, zero = static[order[b0 + i] // group]
            elif group is not None and (b0 + i) % group == 0:
                scale, zero = fit_grid(W[:, b0 + i : b0 + i + group], maxq)
            column = w[:, i : i + 1]
            q = to_grid(column, scale, zero, maxq)
            Q[:, b0 + i : b0 + i + 1] = q
            error = (column - q) / u[i, i]
            errors[:, i : i + 1] = error
            w[:, i + 1 :].addmm_(error, u[i : i + 1, i + 1 :], alpha=-1)
        W[:, b1:].addmm_(errors, U[b0:b1, b1:], alpha=-1)
    return Q[:, torch.argsort(by_size)] if act_order else Q
