using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Berth.Core.Errors;

namespace Berth.Core.Resources;

/// <summary>An amount of processor in thousandths of a core. Written <c>0.5</c>, <c>2</c> or <c>500m</c>.</summary>
public readonly record struct CpuQuota
{
    private CpuQuota(int millicores) => Millicores = millicores;

    /// <summary>1,000 is one core. At least 10 (the kernel's smallest quota over a 100 ms period is 1 ms).</summary>
    public int Millicores { get; }

    public static CpuQuota FromMillicores(int millicores) => millicores is >= 10 and <= 1_024_000
        ? new CpuQuota(millicores)
        : throw new ArgumentOutOfRangeException(
            nameof(millicores), millicores, "A CPU quota is 10 to 1,024,000 millicores.");

    public static CpuQuota Parse(string value) => TryParse(value, out CpuQuota quota)
        ? quota
        : throw new BerthException(
            ErrorCode.InvalidRequest,
            $"'{value}' is not an amount of CPU: write cores such as 0.5 or 2, or millicores such as 500m.");

    public static bool TryParse([NotNullWhen(true)] string? value, out CpuQuota quota)
    {
        quota = default;
        if (string.IsNullOrEmpty(value) || value.Length > 16)
        {
            return false;
        }

        bool milli = value.EndsWith('m');
        if (!decimal.TryParse(milli ? value.AsSpan(0, value.Length - 1) : value, NumberStyles.AllowDecimalPoint,
            CultureInfo.InvariantCulture, out decimal amount))
        {
            return false;
        }

        decimal millicores = milli ? amount : amount * 1000;
        if (millicores is < 10 or > 1_024_000)
        {
            return false;
        }

        quota = new CpuQuota((int)millicores);
        return true;
    }

    public override string ToString() => (Millicores / 1000m).ToString("0.###", CultureInfo.InvariantCulture);
}
