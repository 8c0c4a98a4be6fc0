namespace Berth.Server.Secrets;

/// <summary>A secret as it is kept: everything but its value in the clear.</summary>
/// <param name="Version">1 for the first value of the name; one more with each that replaces it.</param>
/// <param name="Key">Number of the key that it is sealed with.</param>
/// <param name="Sealed">As <see cref="SecretKeys.Seal"/> makes it.</param>
/// <param name="Length">Of the value, in bytes.</param>
/// <param name="CreatedAt">Of the name's first value.</param>
/// <param name="UpdatedAt">Of this one.</param>
/// <param name="Caller">Name of the token that gave this value.</param>
internal sealed record SecretRecord(
    string Name, int Version, int Key, byte[] Sealed, int Length, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt,
    string Caller);
