"""Models with the structure of NumPyro's own examples, on small simulated data."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.experimental.ode import odeint
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.infer import reparam

RNG = np.random.default_rng(20)
HITS, AT_BATS = np.array([18, 14, 11, 7]), np.array([45, 45, 44, 46])
X_LOGIT = np.column_stack([np.ones(24), RNG.normal(size=24)])
Y_LOGIT = (RNG.uniform(size=24) < 1 / (1 + np.exp(-X_LOGIT @ [0.3, -1.0]))).astype(int)
X_WIDE = RNG.normal(size=(10, 4))
Y_WIDE = X_WIDE[:, 0] - 0.5 * X_WIDE[:, 0] * X_WIDE[:, 1] + 0.3 * RNG.normal(size=10)
COUNTS = np.array([0, 0, 3, 0, 1, 2, 0, 5])
AT = np.linspace(0, 1, 8)
CURVE = np.sin(6 * AT) + 0.1 * RNG.normal(size=8)
SERIES = np.cumsum(0.3 * RNG.normal(size=14)) + 1.0
RETURNS = 0.02 * RNG.standard_t(5, size=12)


# -------------------------------------------------------------------- rates: baseball, and so on


def pooled(at_bats, hits):
    phi = numpyro.sample("phi", dist.Uniform(0, 1))
    with numpyro.plate("players", len(at_bats)):
        numpyro.sample("obs", dist.Binomial(at_bats, probs=phi), obs=hits)


def not_pooled(at_bats, hits):
    with numpyro.plate("players", len(at_bats)):
        phi = numpyro.sample("phi", dist.Uniform(0, 1))
        numpyro.sample("obs", dist.Binomial(at_bats, probs=phi), obs=hits)


def partially_pooled(at_bats, hits):
    m = numpyro.sample("m", dist.Uniform(0, 1))
    kappa = numpyro.sample("kappa", dist.Pareto(1, 1.5))
    with numpyro.plate("players", len(at_bats)):
        phi = numpyro.sample("phi", dist.Beta(m * kappa, (1 - m) * kappa))
        numpyro.sample("obs", dist.Binomial(at_bats, probs=phi), obs=hits)


def partially_pooled_on_the_logit(at_bats, hits):
    loc = numpyro.sample("loc", dist.Normal(-1, 1))
    scale = numpyro.sample("scale", dist.HalfCauchy(1))
    with numpyro.plate("players", len(at_bats)):
        with handlers.reparam(config={"alpha": reparam.TransformReparam()}):
            alpha = numpyro.sample(
                "alpha",
                dist.TransformedDistribution(
                    dist.Normal(0, 1), dist.transforms.AffineTransform(loc, scale)
                ),
            )
        numpyro.sample("obs", dist.Binomial(at_bats, logits=alpha), obs=hits)


def logistic(x, y):
    """Proportion test, DAIS, covtype on all rows."""
    beta = numpyro.sample("beta", dist.Normal(0, 1).expand([x.shape[1]]).to_event(1))
    with numpyro.plate("n", len(x)):
        numpyro.sample("y", dist.Bernoulli(logits=x @ beta), obs=y)


def logistic_of_a_subsample(x, y, subsample_size=None):
    beta = numpyro.sample("beta", dist.Normal(0, 1).expand([x.shape[1]]).to_event(1))
    with numpyro.plate("n", len(x), subsample_size=subsample_size):
        rows, seen = numpyro.subsample(jnp.asarray(x), 1), numpyro.subsample(jnp.asarray(y), 0)
        numpyro.sample("y", dist.Bernoulli(logits=rows @ beta), obs=seen)


def zero_inflated_poisson(y):
    gate = numpyro.sample("gate", dist.Normal(0, 1))
    level = numpyro.sample("level", dist.Normal(0, 1))
    with numpyro.plate("n", len(y)):
        rate = numpyro.deterministic("rate", jnp.exp(level) * jnp.ones(len(y)))
        numpyro.sample("y", dist.ZeroInflatedPoisson(jax.nn.sigmoid(gate), rate), obs=y)


def mortality(age, space, exposed, deaths):
    """Crossed random effects, those of places within regions, decentred."""
    level = numpyro.sample("level", dist.Normal(-3, 1))
    s_age = numpyro.sample("s_age", dist.HalfNormal(1.0))
    s_space = numpyro.sample("s_space", dist.HalfNormal(1.0))
    with numpyro.plate("region", 2, dim=-2):
        top = numpyro.sample("top", dist.Normal(0, s_space))
        with numpyro.plate("place", 3, dim=-1):
            local = numpyro.sample("local", dist.Normal(top, s_space))
    walk = numpyro.sample("walk", dist.GaussianRandomWalk(s_age, 4))
    with numpyro.plate("n", len(age)):
        mu = numpyro.deterministic("mu", level + walk[age] + local.reshape(-1)[space])
        numpyro.sample("deaths", dist.Binomial(exposed, logits=mu), obs=deaths)


MORTALITY = {
    "age": np.arange(12) % 4,
    "space": np.arange(12) % 6,
    "exposed": np.full(12, 300),
    "deaths": RNG.poisson(12, size=12),
}


def admissions(department, male, applications, admitted):
    """Correlated effects; the probability is recorded by an observed Delta."""
    mean = numpyro.sample("mean", dist.Normal(0, 1).expand([2]).to_event(1))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1).expand([2]).to_event(1))
    corr = numpyro.sample("corr", dist.LKJCholesky(2, concentration=2.0))
    with numpyro.plate("department", 3):
        z = numpyro.sample("z", dist.Normal(0, 1).expand([2]).to_event(1))
    v = numpyro.deterministic("v", mean + z @ (sigma[:, None] * corr).T)
    p = jax.nn.sigmoid(v[department, 0] + v[department, 1] * male)
    with numpyro.plate("n", len(department)):
        numpyro.sample("p", dist.Delta(p), obs=p)
        numpyro.sample("admitted", dist.Binomial(applications, probs=p), obs=admitted)


ADMISSIONS = {
    "department": np.array([0, 0, 1, 1, 2, 2]),
    "male": np.array([0.0, 1, 0, 1, 0, 1]),
    "applications": np.array([80, 100, 30, 60, 50, 40]),
    "admitted": np.array([60, 62, 17, 35, 12, 11]),
}


# ------------------------------------------------------------------------------------ regressions


def bnn(x, y):
    with numpyro.plate("inputs", x.shape[1], dim=-2), numpyro.plate("hidden", 3, dim=-1):
        w1 = numpyro.sample("w1", dist.Normal(0, 1))
    w2 = numpyro.sample("w2", dist.Normal(jnp.zeros((3, 1)), 1).to_event(2))
    precision = numpyro.sample("precision", dist.Gamma(3.0, 1.0))
    with numpyro.plate("n", len(x)):
        out = jnp.tanh(x @ w1) @ w2
        numpyro.sample("y", dist.Normal(out, 1 / jnp.sqrt(precision)).to_event(1), obs=y[:, None])


def horseshoe(x, y):
    lam = numpyro.sample("lam", dist.HalfCauchy(jnp.ones(x.shape[1])))
    tau = numpyro.sample("tau", dist.HalfCauchy(jnp.ones(1)))
    raw = numpyro.sample("raw", dist.Normal(0, jnp.ones(x.shape[1])))
    beta = numpyro.deterministic("beta", tau * lam * raw)
    precision = numpyro.sample("precision", dist.Gamma(3.0, 1.0))
    numpyro.sample("y", dist.Normal(x @ beta, 1 / jnp.sqrt(precision)), obs=y)


def sparse_regression(x, y):
    """Pairwise interactions by a kernel; the weights are integrated out."""
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))
    phi = sigma * numpyro.sample("phi", dist.HalfCauchy(0.5))
    eta = numpyro.sample("eta", dist.HalfNormal(1.0))
    slab = numpyro.sample("slab", dist.InverseGamma(2.0, 2.0))
    lam = numpyro.sample("lam", dist.HalfCauchy(jnp.ones(x.shape[1])))
    kappa = jnp.sqrt(slab) * lam / jnp.sqrt(slab + (phi * lam) ** 2)
    rows = kappa * x
    gram = rows @ rows.T
    kernel = 0.5 * (eta * (1 + gram)) ** 2 + phi**2 * gram + 1.0
    noise = (sigma**2 + 1e-4) * jnp.eye(len(x))
    numpyro.sample("y", dist.MultivariateNormal(0.0, covariance_matrix=kernel + noise), obs=y)


def gaussian_process(at, y):
    names = ("variance", "noise", "length")
    variance, noise, length = (numpyro.sample(f"k_{n}", dist.LogNormal(0.0, 10.0)) for n in names)
    gap = (at[:, None] - at[None, :]) / length
    kernel = variance * jnp.exp(-0.5 * gap**2) + (noise + 1e-6) * jnp.eye(len(at))
    numpyro.sample("y", dist.MultivariateNormal(jnp.zeros(len(at)), kernel), obs=y)


def hilbert_space_gaussian_process(at, y):
    m, edge = 5, 1.5
    j = jnp.arange(1, m + 1)
    root = j * jnp.pi / (2 * edge)
    basis = jnp.sin(root * (at[:, None] - 0.5 + edge)) / jnp.sqrt(edge)
    alpha = numpyro.sample("alpha", dist.HalfNormal(1.0))
    length = numpyro.sample("length", dist.InverseGamma(3.0, 1.0))
    noise = numpyro.sample("noise", dist.HalfNormal(0.5))
    spectrum = jnp.sqrt(jnp.sqrt(2 * jnp.pi) * length) * jnp.exp(-((length * root) ** 2) / 4)
    with numpyro.plate("basis", m):
        beta = numpyro.sample("beta", dist.Normal(0, 1))
    with numpyro.plate("n", len(at)):
        f = numpyro.deterministic("f", basis @ (alpha * spectrum * beta))
        numpyro.sample("y", dist.Normal(f, noise), obs=y)


# ------------------------------------------------------------------------------------ time series


def stochastic_volatility(returns):
    step = numpyro.sample("step", dist.Exponential(50.0))
    s = numpyro.sample("s", dist.GaussianRandomWalk(scale=step, num_steps=len(returns)))
    nu = numpyro.sample("nu", dist.Exponential(0.1))
    numpyro.sample("r", dist.StudentT(df=nu, loc=0.0, scale=jnp.exp(s - 4.0)), obs=returns)


def ar2(y):
    """The data enter by `condition` around the scan inside the model."""
    a1, a2 = (numpyro.sample(name, dist.Normal(0, 1)) for name in ("a1", "a2"))
    const = numpyro.sample("const", dist.Normal(0, 1))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1))

    def step(carry, _):
        before, last = carry
        mean = numpyro.deterministic("mean", const + a1 * last + a2 * before)
        now = numpyro.sample("y", dist.Normal(mean, sigma))
        return (last, now), None

    with handlers.condition(data={"y": jnp.asarray(y[2:])}):
        scan(step, (y[0], y[1]), jnp.arange(len(y) - 2))


def ar2_one_site_per_step(y):
    a1, a2 = (numpyro.sample(name, dist.Normal(0, 1)) for name in ("a1", "a2"))
    const = numpyro.sample("const", dist.Normal(0, 1))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1))
    for t in range(2, len(y)):
        mean = const + a1 * y[t - 1] + a2 * y[t - 2]
        numpyro.sample(f"y_{t}", dist.Normal(mean, sigma), obs=y[t])


def holt_winters(y, season=4):
    """Level, trend and season, one step ahead; forecasts are left to Predictive."""
    n = len(y)
    level_weight = numpyro.sample("level_weight", dist.Beta(1, 1))
    season_weight = numpyro.sample("season_weight", dist.Uniform(0, 1))
    trend_weight = numpyro.sample("trend_weight", dist.Uniform(0, level_weight))
    level = numpyro.sample("level", dist.Normal(0, 1))
    trend = numpyro.sample("trend", dist.Normal(0, 0.5))
    noise = numpyro.sample("noise", dist.HalfNormal(1))
    with numpyro.plate("seasons", season):
        first = numpyro.sample("first", dist.Normal(0, 0.5))

    def step(carry, _):
        level, trend, s = carry
        mu = numpyro.deterministic("mu", level + trend + s[0])
        y_t = numpyro.sample("y", dist.Normal(mu, noise))
        new = level_weight * (y_t - s[0]) + (1 - level_weight) * (level + trend)
        slope = trend_weight * (new - level) + (1 - trend_weight) * trend
        turned = season_weight * (y_t - new) + (1 - season_weight) * s[0]
        return (new, slope, jnp.concatenate([s[1:], turned[None]])), None

    with handlers.condition(data={"y": jnp.asarray(y)}):
        scan(step, (level, trend, first), jnp.arange(n))


def vector_autoregression(y):
    c = numpyro.sample("c", dist.Normal(0, 1).expand([2]).to_event(1))
    phi1 = numpyro.sample("phi1", dist.Normal(0, 0.5).expand([2, 2]).to_event(2))
    phi2 = numpyro.sample("phi2", dist.Normal(0, 0.5).expand([2, 2]).to_event(2))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0).expand([2]).to_event(1))
    omega = numpyro.sample("omega", dist.LKJCholesky(2, concentration=1.0))
    root = numpyro.deterministic("root", sigma[:, None] * omega)

    def step(carry, _):
        before, last = carry
        mean = c + phi1 @ last + phi2 @ before
        now = numpyro.sample("y", dist.MultivariateNormal(mean, scale_tril=root))
        return (last, now), mean

    with handlers.condition(data={"y": jnp.asarray(y[2:])}):
        _, means = scan(step, (y[0], y[1]), None, length=len(y) - 2)
    numpyro.deterministic("means", means)


TWO_SERIES = np.column_stack([SERIES, np.roll(SERIES, 1)]) + 0.1 * RNG.normal(size=(14, 2))


def predator_and_prey(times, y):
    z0 = numpyro.sample("z0", dist.LogNormal(jnp.log(10.0), 0.5).expand([2]))
    theta = numpyro.sample(
        "theta",
        dist.TruncatedNormal(
            loc=jnp.array([1.0, 0.05, 1.0, 0.05]), scale=jnp.array([0.2, 0.02, 0.2, 0.02]), low=0.0
        ),
    )
    sigma = numpyro.sample("sigma", dist.LogNormal(-1, 0.5).expand([2]))

    def slope(z, _, theta):
        prey, predator = z
        a, b, c, d = theta
        return jnp.stack([(a - b * predator) * prey, (-c + d * prey) * predator])

    z = odeint(slope, z0, times, theta, rtol=1e-4, atol=1e-3, mxstep=200)
    numpyro.sample("y", dist.LogNormal(jnp.log(jnp.maximum(z, 1e-3)), sigma), obs=y)


TIMES = np.linspace(0.0, 4.0, 5)
HARES = np.array([[10, 11], [14, 9.0], [20, 10], [26, 14], [24, 22]])


def hidden_markov(states, seen, words):
    """Semi-supervised: the states of the words `seen` are known, others are summed out."""
    with numpyro.plate("state", 2):
        move = numpyro.sample("move", dist.Dirichlet(jnp.ones(2)))
        emit = numpyro.sample("emit", dist.Dirichlet(jnp.full(3, 0.5)))
    numpyro.sample("states", dist.Categorical(move[states[:-1]]), obs=states[1:])
    numpyro.sample("seen", dist.Categorical(emit[states]), obs=seen)

    def forward(log_f, word):
        return jax.nn.logsumexp(log_f[:, None] + jnp.log(move), 0) + jnp.log(emit[:, word]), None

    log_f, _ = jax.lax.scan(forward, jnp.log(emit[:, words[0]]), words[1:])
    numpyro.factor("forward", jax.nn.logsumexp(log_f))


HIDDEN = {
    "states": np.array([0, 0, 1, 1, 0, 0]),
    "seen": np.array([0, 1, 2, 2, 0, 0]),
    "words": np.array([0, 2, 2, 1, 0]),
}


# ------------------------------------------------------------------------------- nothing observed


def funnel(dim=4):
    y = numpyro.sample("y", dist.Normal(0, 3))
    numpyro.sample("x", dist.Normal(jnp.zeros(dim - 1), jnp.exp(y / 2)))
