using System.Globalization;
using Berth.Core.Functions;
using Berth.Core.Rollouts;
using Berth.Server.Functions;
using Berth.Server.Metrics;
using Berth.Server.RolloutEndpoints;

namespace Berth.Server.Rollouts;

/// <summary>What /metrics tells of revisions and rollouts.</summary>
internal sealed class RolloutFigures(FunctionManager functions, RevisionMeters meters, RolloutPass pass)
{
    /// <summary>However many functions there are, a scrape stays small.</summary>
    private const int MaxRevisions = 1000;

    private static readonly (double Share, string Name)[] Quantiles = [(0.5, "0.5"), (0.95, "0.95")];

    public void Write(MetricText text)
    {
        (RevisionKey Key, RevisionMeter Meter)[] called =
        [
            .. meters.All.Select(m => (m.Key, m.Value)).OrderBy(m => m.Key.Function, StringComparer.Ordinal)
                .ThenBy(m => m.Key.Number).Take(MaxRevisions),
        ];
        text.Begin(MetricCatalog.FunctionCalls);
        foreach ((RevisionKey key, RevisionMeter meter) in called)
        {
            CallTally total = meter.Total;
            text.Sample(total.Succeeded, key.Function, NumberOf(key), "succeeded");
            text.Sample(total.Failed, key.Function, NumberOf(key), "failed");
        }

        text.Begin(MetricCatalog.FunctionTimes);
        foreach ((RevisionKey key, RevisionMeter meter) in called)
        {
            CallTally recent = meter.Recent;
            foreach ((double share, string name) in Quantiles)
            {
                if (recent.Quantile(share) is { } time)
                {
                    text.Sample(time.TotalSeconds, key.Function, NumberOf(key), name);
                }
            }
        }

        Function[] underWay = [.. functions.RollingOut];
        text.Begin(MetricCatalog.Rollouts);
        foreach (RolloutState state in (RolloutState[])[RolloutState.Running, RolloutState.Paused])
        {
            text.Sample(underWay.Count(f => f.Rollout!.State == state), RolloutOrder.NameOf(state));
        }

        text.Begin(MetricCatalog.RolloutsEnded);
        foreach (RolloutState state in (RolloutState[])[RolloutState.Promoted, RolloutState.RolledBack])
        {
            text.Sample(pass.Ended(state), RolloutOrder.NameOf(state));
        }
    }

    private static string NumberOf(RevisionKey key) => key.Number.ToString(CultureInfo.InvariantCulture);
}
