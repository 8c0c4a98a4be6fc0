using System.Globalization;
using Berth.Api.Functions;
using Berth.Core.Scaling;
using Berth.Core.Triggers;
using Berth.Server.Calls;

namespace Berth.Server.FunctionEndpoints;

/// <summary>The windows of a request in which more instances are kept, there and back.</summary>
internal static class WarmOrder
{
    /// <summary>Null where there are none.</summary>
    /// <param name="most">Instances that a window may ask for.</param>
    public static WarmSchedule? Read(IReadOnlyList<WarmSpan?>? spans, int most) => spans is null
        ? null
        : WarmSchedule.Of([.. spans.Select((s, i) => Window(s, string.Create(
            CultureInfo.InvariantCulture, $"warm[{i}]"), most))]);

    public static IReadOnlyList<WarmSpan>? Write(WarmSchedule? schedule) => schedule is null
        ? null
        :
        [
            .. schedule.Windows.Select(
                w => new WarmSpan(w.Start.Line.Text, w.End.Line.Text, w.Start.Zone.Id, w.Min)),
        ];

    private static WarmWindow Window(WarmSpan? span, string place, int most)
    {
        Asked zone = new(place + ".zone", span?.Zone);
        CronZone start = CronRules.Times(new Asked(place + ".start", span?.Start), zone);
        Asked end = new(place + ".end", span?.End);
        CronZone close = CronRules.Times(end, zone);
        if (start.Line.Text == close.Line.Text)
        {
            throw end.Refuse("it is when the window opens, too");
        }

        Asked min = new(place + ".min", span?.Min?.ToString(CultureInfo.InvariantCulture));
        return new WarmWindow(
            start, close,
            ProgramRules.Number(min, 1, most, null) ?? throw min.Refuse("expected how many instances are kept"));
    }
}
