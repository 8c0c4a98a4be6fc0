using Berth.Core.Errors;

namespace Berth.Core.Placement;

/// <summary>A mark by which a node keeps work away that does not bear it. Written <c>dedicated=ml</c>, or with
/// <c>:prefer-not</c> behind it.</summary>
/// <param name="Value">Empty where the key says it all.</param>
/// <param name="IsSoft">Whether the node is only the last choice, in place of none.</param>
public sealed record Taint(string Key, string Value, bool IsSoft)
{
    private const string Soft = ":prefer-not";
    private const string Hard = ":no-schedule";

    public string Text => Mark + (IsSoft ? Soft : "");

    /// <summary>Without its effect.</summary>
    internal string Mark { get; } = Value.Length == 0 ? Key : Key + "=" + Value;

    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static Taint Parse(string text)
    {
        bool soft = text.EndsWith(Soft, StringComparison.Ordinal);
        string mark = soft ? text[..^Soft.Length]
            : text.EndsWith(Hard, StringComparison.Ordinal) ? text[..^Hard.Length] : text;
        int equals = mark.IndexOf('=', StringComparison.Ordinal);
        string key = equals < 0 ? mark : mark[..equals];
        string value = equals < 0 ? "" : mark[(equals + 1)..];
        return ConstraintReader.IsWord(key) && (equals < 0 || ConstraintReader.IsWord(value))
            ? new Taint(key, value, soft)
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{Quoted.Of(text)}' is no taint: write KEY or KEY=VALUE, and {Soft} behind it for a mild one.");
    }

    public override string ToString() => Text;
}

/// <summary>A taint that a workload bears. Written as the taint is: <c>dedicated=ml</c>; <c>dedicated</c> alone bears
/// it with any value.</summary>
/// <param name="Value">Null for any.</param>
public sealed record Toleration(string Key, string? Value)
{
    public string Text => Value is null ? Key : Key + "=" + Value;

    public bool Bears(Taint taint) => taint.Key == Key && (Value is null || Value == taint.Value);

    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static Toleration Parse(string text)
    {
        int equals = text.IndexOf('=', StringComparison.Ordinal);
        string key = equals < 0 ? text : text[..equals];
        string? value = equals < 0 ? null : text[(equals + 1)..];
        return ConstraintReader.IsWord(key) && (value is null || ConstraintReader.IsWord(value))
            ? new Toleration(key, value)
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{Quoted.Of(text)}' is no toleration: write KEY for any value of the taint, or KEY=VALUE.");
    }

    public override string ToString() => Text;
}
